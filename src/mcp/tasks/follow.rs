//! Following a task: every state that it comes to, whichever replica runs it, to its end.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};

use super::store::TaskPlace;
use super::{Task, Tasks};
use crate::auth::Principal;
use crate::state::{StateError, Subscription};

/// How often a task that somebody works on is looked at without news: its replica may have died, without a word.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often one that waits for its client is.
const GLANCE_EVERY: Duration = Duration::from_secs(10);

/// The task as it is now, if it is known, and then as it changes; ends with the task.
pub(super) async fn follow(
    tasks: &Tasks,
    principal: &Arc<Principal>,
    place: TaskPlace,
) -> Result<Option<BoxStream<'static, Task>>, StateError> {
    // First the subscription, so that no change falls between it and the first look.
    let news = tasks.0.store.subscribe(&place).await?;
    if tasks.0.store.read(&place).await?.is_none() {
        return Ok(None);
    }
    let follower = Follower { tasks: tasks.clone(), principal: Arc::clone(principal), place, news, told: None, is_over: false };
    Ok(Some(stream::unfold(follower, Follower::next).boxed()))
}

struct Follower {
    tasks: Tasks,
    principal: Arc<Principal>,
    place: TaskPlace,
    news: Subscription,
    /// The revision that was told last.
    told: Option<u64>,
    is_over: bool,
}

impl Follower {
    async fn next(mut self) -> Option<(Task, Self)> {
        if self.is_over {
            return None;
        }
        loop {
            let pause = match self.tasks.look(&self.place, &self.principal).await {
                Ok(None) => return None,
                Ok(Some(record)) if self.told != Some(record.revision) => {
                    self.told = Some(record.revision);
                    self.is_over = record.is_over();
                    return Some((Task(Box::new(record)), self));
                }
                Ok(Some(record)) if !record.is_working() => GLANCE_EVERY,
                // The state is away: it is looked at again until it is back.
                Ok(Some(_)) | Err(_) => LOOK_EVERY,
            };
            let _ = tokio::time::timeout(pause, self.news.next()).await;
        }
    }
}
