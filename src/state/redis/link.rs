//! The one connection that all operations share: made when needed, given up when it breaks, made anew.

use std::time::Duration;

use redis::{Cmd, FromRedisValue, RedisError};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::RedisUrl;
use super::connect::{Connection, connect};
use super::error::{late, reason, server_is_wrong};
use crate::metrics::StateOperations;
use crate::state::StateError;

/// One operation, with everything that it may have to wait for.
pub(super) const OPERATION_LIMIT: Duration = Duration::from_millis(2_500);
/// Between two attempts to connect: twice as long after each failure, up to the maximum.
const FIRST_DELAY: Duration = Duration::from_millis(50);
const MAX_DELAY: Duration = Duration::from_secs(1);

pub(super) struct Link {
    url: RedisUrl,
    // A Tokio mutex, held while connecting: operations that come meanwhile wait for that attempt in place of making
    // their own.
    slot: Mutex<Slot>,
    operations: Option<StateOperations>,
}

#[derive(Default)]
struct Slot {
    live: Option<Live>,
    generation: u64,
    outage: Option<Outage>,
}

#[derive(Clone)]
struct Live {
    connection: Connection,
    generation: u64,
}

/// Since when every attempt has failed: how often, why, and when to try again.
struct Outage {
    failures: u32,
    reason: StateError,
    retry_at: Instant,
}

/// Why a command has no answer.
pub(super) enum QueryError {
    /// Redis could not be asked.
    Away(StateError),
    /// Redis was asked and answered with an error.
    Refused(RedisError),
}

impl From<QueryError> for StateError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Away(error) => error,
            QueryError::Refused(error) => Self { reason: reason(&error) },
        }
    }
}

impl Link {
    pub(super) fn new(url: RedisUrl) -> Self {
        Self { url, slot: Mutex::default(), operations: None }
    }

    /// Counts the commands from now on.
    pub(super) fn count(&mut self, operations: StateOperations) {
        self.operations = Some(operations);
    }

    pub(super) fn url(&self) -> &RedisUrl {
        &self.url
    }

    /// Runs one command. A connection that turns out to be broken, or to lead to a server that is no longer the master,
    /// is replaced and the command sent once more: all our commands are made so that they may be repeated.
    pub(super) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, QueryError> {
        let attempts = async {
            let mut live = self.live().await?;
            match live.connection.query(command).await {
                // In a box, as all that is rare here: otherwise every operation would carry the room for it, 7 KiB.
                Err(error) if server_is_wrong(&error) => Box::pin(self.query_another(command, live, error)).await,
                answer => answer.map_err(QueryError::Refused),
            }
        };
        let begun = Instant::now();
        let answer = timeout(OPERATION_LIMIT, attempts).await.unwrap_or_else(|_| Err(QueryError::Away(late())));
        if let Some(operations) = &self.operations {
            operations.record(begun.elapsed(), answer.is_ok());
        }
        answer
    }

    /// Runs a command once more, over a connection in the place of one that failed with `error`.
    async fn query_another<T: FromRedisValue>(&self, command: &Cmd, live: Live, error: RedisError) -> Result<T, QueryError> {
        // A server that did not answer in time has used up this caller's patience.
        if !self.give_up(&live, &error).await || error.is_timeout() {
            return Err(QueryError::Refused(error));
        }
        let mut live = self.live().await?;
        live.connection.query(command).await.map_err(QueryError::Refused)
    }

    /// The live connection, made now when there is none and it is not too soon to try again.
    async fn live(&self) -> Result<Live, QueryError> {
        let mut slot = self.slot.lock().await;
        if let Some(live) = &slot.live {
            return Ok(live.clone());
        }
        if let Some(outage) = &slot.outage
            && Instant::now() < outage.retry_at
        {
            return Err(QueryError::Away(outage.reason.clone()));
        }
        match Box::pin(connect(&self.url)).await {
            Ok(connection) => {
                if slot.outage.take().is_some() {
                    tracing::info!(server = %self.url, "shared state is back");
                }
                slot.generation += 1;
                let live = Live { connection, generation: slot.generation };
                slot.live = Some(live.clone());
                Ok(live)
            }
            Err(error) => {
                let failures = slot.outage.as_ref().map_or(0, |outage| outage.failures);
                // One that was never there fails the start, which says so itself.
                if failures == 0 && slot.generation > 0 {
                    tracing::warn!(server = %self.url, reason = error.reason, "shared state is away");
                }
                slot.outage =
                    Some(Outage { failures: failures + 1, reason: error.clone(), retry_at: Instant::now() + delay(failures) });
                Err(QueryError::Away(error))
            }
        }
    }

    /// Lets go of a connection, unless somebody else already has. `false` when it looks after itself.
    async fn give_up(&self, broken: &Live, error: &RedisError) -> bool {
        if broken.connection.mends_itself() {
            return false;
        }
        let mut slot = self.slot.lock().await;
        if slot.live.as_ref().is_some_and(|live| live.generation == broken.generation) {
            tracing::debug!(server = %self.url, reason = reason(error), "giving up the connection to shared state");
            slot.live = None;
        }
        true
    }
}

/// How long to wait after this many failures in a row and one more.
///
/// Half of the delay is random, so that replicas do not all come back in the same moment.
pub(super) fn delay(failures: u32) -> Duration {
    let full = FIRST_DELAY.saturating_mul(1 << failures.min(10)).min(MAX_DELAY);
    full.mul_f64(0.5 + rand::random::<f64>() / 2.0)
}
