//! The one connection over which all messages come: made with the first subscription, and made anew when it breaks.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind, RedisError, Value};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, sleep, timeout};

use super::RedisUrl;
use super::connect::{Receiver, check_subscriber, connect_to_subscribe};
use super::error::{late, reason};
use super::link::{OPERATION_LIMIT, delay};
use crate::state::topics::Topics;
use crate::state::{Signal, StateError, Subscription};

/// How often a connection is asked whether it is alive: one that went silent without a word is noticed this soon.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// A connection that broke earlier than this counts as a failed attempt to make one.
const SERVED: Duration = Duration::from_secs(1);
/// So many topics go into one command.
const BATCH: usize = 500;

/// Subscribes to topics in Redis for all who want them in this process.
pub(super) struct Subscriber {
    topics: Arc<Topics>,
    // Unbounded, yet never longer than there are callers waiting and subscriptions just dropped.
    requests: UnboundedSender<Request>,
    work: Mutex<Work>,
}

/// The driver waits for the first subscription before it becomes a task, which ends with the set that it is in.
struct Work {
    idle: Option<Driver>,
    task: JoinSet<()>,
}

enum Request {
    /// Tell when the topic is subscribed to, or why it is not.
    Join(Arc<str>, Answer),
    /// The topic has lost its last subscriber here.
    Abandon(Arc<str>),
}

type Answer = oneshot::Sender<Result<(), StateError>>;

/// Owns the connection.
struct Driver {
    url: RedisUrl,
    topics: Arc<Topics>,
    requests: UnboundedReceiver<Request>,
    waiting: HashMap<Arc<str>, Vec<Answer>>,
    /// What the present connection is subscribed to.
    live: HashSet<Arc<str>>,
    /// What an earlier connection was subscribed to, and the present one is not yet.
    lost: HashSet<Arc<str>>,
}

impl Subscriber {
    pub(super) fn new(url: RedisUrl) -> Self {
        let (requests, receiver) = unbounded_channel();
        let abandoned = requests.clone();
        let topics = Topics::new(move |topic| {
            // It fails when the driver has ended and there is nothing left to unsubscribe from.
            let _ = abandoned.send(Request::Abandon(topic));
        });
        let driver = Driver {
            url,
            topics: topics.clone(),
            requests: receiver,
            waiting: HashMap::new(),
            live: HashSet::new(),
            lost: HashSet::new(),
        };
        Self { topics, requests, work: Mutex::new(Work { idle: Some(driver), task: JoinSet::new() }) }
    }

    /// Subscribes, and waits until Redis has confirmed it.
    pub(super) async fn subscribe(&self, topic: &str) -> Result<Subscription, StateError> {
        {
            let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(driver) = work.idle.take() {
                work.task.spawn(driver.run());
            }
        }
        let topic: Arc<str> = topic.into();
        let subscription = self.topics.subscribe(topic.clone());
        let (answer, live) = oneshot::channel();
        let ended = || StateError { reason: "the server is shutting down".to_owned() };
        self.requests.send(Request::Join(topic, answer)).map_err(|_| ended())?;
        match timeout(OPERATION_LIMIT, live).await {
            Ok(answer) => answer.map_err(|_| ended())?.map(|()| subscription),
            Err(_) => Err(late()),
        }
    }
}

impl Driver {
    async fn run(mut self) {
        let mut failures = 0;
        loop {
            while self.waiting.is_empty() && self.topics.is_empty() {
                let Some(request) = self.requests.recv().await else { return };
                self.take_in(request);
            }
            let ended = Arc::new(Notify::new());
            let error = match connect_to_subscribe(&self.url, receiver(&self.topics, &ended)).await {
                Ok(connection) => {
                    let start = Instant::now();
                    let Err(error) = self.serve(connection, &ended).await;
                    self.lost.extend(self.live.drain());
                    tracing::debug!(server = %self.url, reason = reason(&error), "no messages from shared state for a moment");
                    if start.elapsed() > SERVED {
                        failures = 0;
                        continue;
                    }
                    StateError { reason: reason(&error) }
                }
                Err(error) => error,
            };
            while let Ok(request) = self.requests.try_recv() {
                self.take_in(request);
            }
            for answer in self.waiting.drain().flat_map(|(_, answers)| answers) {
                let _ = answer.send(Err(error.clone()));
            }
            // Who comes meanwhile waits for the next attempt, which may succeed.
            sleep(delay(failures)).await;
            failures = failures.saturating_add(1);
        }
    }

    /// Keeps a connection subscribed to what is wanted until it breaks.
    async fn serve(&mut self, mut connection: MultiplexedConnection, ended: &Notify) -> Result<Infallible, RedisError> {
        self.settle(&mut connection, self.topics.names().into_iter().collect()).await?;
        self.lost.clear();
        let mut check = interval_at(Instant::now() + CHECK_INTERVAL, CHECK_INTERVAL);
        loop {
            tokio::select! {
                Some(request) = self.requests.recv() => {
                    let mut touched = HashSet::from([self.take_in(request)]);
                    while let Ok(request) = self.requests.try_recv() {
                        touched.insert(self.take_in(request));
                    }
                    self.settle(&mut connection, touched).await?;
                }
                () = ended.notified() => return Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into()),
                _ = check.tick() => check_subscriber(&self.url, &mut connection).await?,
            }
        }
    }

    /// Subscribes to those of these topics that are wanted, unsubscribes from the others, and tells who waited for it.
    async fn settle(&mut self, connection: &mut MultiplexedConnection, touched: HashSet<Arc<str>>) -> Result<(), RedisError> {
        let (wanted, unwanted): (Vec<_>, Vec<_>) = touched.into_iter().partition(|topic| self.topics.contains(topic));
        for topic in &unwanted {
            // Whoever waited has given up.
            self.waiting.remove(topic);
        }
        let gone: Vec<&str> = unwanted.iter().filter(|topic| self.live.remove(*topic)).map(|topic| &**topic).collect();
        for batch in gone.chunks(BATCH) {
            connection.unsubscribe(batch).await?;
        }
        let (live, new): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|topic| self.live.contains(topic));
        self.announce(live);
        for batch in new.chunks(BATCH) {
            let names: Vec<&str> = batch.iter().map(|topic| &**topic).collect();
            connection.subscribe(names).await?;
            self.live.extend(batch.iter().cloned());
            self.announce(batch.to_vec());
        }
        Ok(())
    }

    fn announce(&mut self, live: Vec<Arc<str>>) {
        for topic in live {
            if self.lost.remove(&topic) {
                self.topics.send(&topic, Signal::Gap);
            }
            for answer in self.waiting.remove(&topic).unwrap_or_default() {
                // It fails when the caller has given up.
                let _ = answer.send(Ok(()));
            }
        }
    }

    /// The topic that a request is about.
    fn take_in(&mut self, request: Request) -> Arc<str> {
        match request {
            Request::Join(topic, answer) => {
                self.waiting.entry(topic.clone()).or_default().push(answer);
                topic
            }
            Request::Abandon(topic) => topic,
        }
    }
}

/// Hands messages on as they come: nothing is kept here.
fn receiver(topics: &Arc<Topics>, ended: &Arc<Notify>) -> Receiver {
    let (topics, ended) = (topics.clone(), ended.clone());
    Arc::new(move |push: PushInfo| {
        match push.kind {
            PushKind::Message => {
                if let Some((topic, message)) = message(push.data) {
                    topics.send(&topic, Signal::Message(message));
                }
            }
            PushKind::Disconnection => ended.notify_one(),
            _ => {}
        }
        Ok::<_, Infallible>(())
    })
}

fn message(data: Vec<Value>) -> Option<(String, Bytes)> {
    match <[Value; 2]>::try_from(data) {
        Ok([Value::BulkString(topic), Value::BulkString(message)]) => Some((String::from_utf8(topic).ok()?, message.into())),
        _ => None,
    }
}
