//! What has changed for clients, told to every replica: which tools, prompts and resources there are, and what resources
//! hold.
//!
//! A change is told over one topic of the shared state. Messages may be lost while the state is away; when it is back every
//! replica counts all lists as changed, and looks at the files that somebody watches.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::state::{SharedState, Signal};

const TOPIC: &str = "pressmark:changes";
/// Between two attempts to subscribe while the shared state is away.
const RETRY: Duration = Duration::from_secs(1);

/// A list that clients may keep a copy of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum List {
    /// `tools/list`.
    Tools,
    /// `prompts/list`.
    Prompts,
    /// `resources/list`.
    Resources,
}

/// How often each list has changed since this replica started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListVersions {
    /// `tools/list`.
    pub tools: u64,
    /// `prompts/list`.
    pub prompts: u64,
    /// `resources/list`.
    pub resources: u64,
}

impl ListVersions {
    fn count(&mut self, list: List) {
        match list {
            List::Tools => self.tools += 1,
            List::Prompts => self.prompts += 1,
            List::Resources => self.resources += 1,
        }
    }
}

/// Tells clients what has changed, whichever replica they listen to. Cheap to clone.
#[derive(Clone)]
pub struct Notifier(Arc<Inner>);

struct Inner {
    state: Arc<dyn SharedState>,
    /// Marks this replica's own messages, which it has acted on already.
    origin: u64,
    lists: watch::Sender<ListVersions>,
    // A `std::sync::Mutex`: held for a look-up, never across an await.
    resources: Mutex<Watched>,
    on_foreign: Mutex<Vec<OnForeign>>,
    listener: Mutex<Option<AbortHandle>>,
}

/// The resources that somebody watches, and how often each has changed since.
struct Watched {
    by_uri: HashMap<Arc<str>, watch::Sender<u64>>,
    /// When there are so many, those that nobody watches any more are dropped.
    sweep_at: usize,
}

impl Watched {
    const FIRST_SWEEP: usize = 64;

    fn watch(&mut self, uri: &str) -> watch::Receiver<u64> {
        if self.by_uri.len() >= self.sweep_at {
            self.by_uri.retain(|_, sender| sender.receiver_count() > 0);
            self.sweep_at = Self::FIRST_SWEEP.max(self.by_uri.len() * 2);
        }
        self.by_uri.entry(Arc::from(uri)).or_default().subscribe()
    }
}

impl Default for Watched {
    fn default() -> Self {
        Self { by_uri: HashMap::new(), sweep_at: Self::FIRST_SWEEP }
    }
}

/// What another replica says, beyond lists and resources; `None` when something it said may have been lost.
type OnForeign = Box<dyn Fn(Option<&serde_json::Value>) + Send + Sync>;

#[derive(Serialize, Deserialize)]
struct Message {
    from: u64,
    #[serde(flatten)]
    what: What,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum What {
    List(List),
    Resource(String),
    Other(serde_json::Value),
}

impl Notifier {
    /// Tells and hears over `state`. Must be called in the runtime.
    #[must_use]
    pub fn start(state: Arc<dyn SharedState>) -> Self {
        let notifier = Self(Arc::new(Inner {
            state,
            origin: rand::random(),
            lists: watch::Sender::default(),
            resources: Mutex::default(),
            on_foreign: Mutex::default(),
            listener: Mutex::default(),
        }));
        let listener = tokio::spawn(listen(Arc::downgrade(&notifier.0), Arc::clone(&notifier.0.state)));
        *lock(&notifier.0.listener) = Some(listener.abort_handle());
        notifier
    }

    /// A list has changed: for somebody, on any replica.
    pub fn list_changed(&self, list: List) {
        self.0.lists.send_modify(|versions| versions.count(list));
        self.publish(What::List(list));
    }

    /// What the resource of this URI holds has changed.
    pub fn resource_updated(&self, uri: &str) {
        self.0.resource_updated(uri);
        self.publish(What::Resource(uri.to_owned()));
    }

    /// How often the lists have changed, and a signal when they change again.
    #[must_use]
    pub fn lists(&self) -> watch::Receiver<ListVersions> {
        self.0.lists.subscribe()
    }

    /// A signal for each change of a resource that [`Self::resource_updated`] tells of; those that come while nobody looks
    /// become one.
    #[must_use]
    pub fn resource(&self, uri: &str) -> watch::Receiver<u64> {
        lock(&self.0.resources).watch(uri)
    }

    /// Tells the other replicas something else, which their [`Self::on_foreign`] gets. The function does not keep the
    /// notifier alive.
    pub(crate) fn teller(&self) -> impl Fn(serde_json::Value) + Send + Sync + use<> {
        let notifier = Arc::downgrade(&self.0);
        move |what| {
            if let Some(notifier) = notifier.upgrade() {
                Self(notifier).publish(What::Other(what));
            }
        }
    }

    /// Calls `hear` with what other replicas tell by their [`Self::teller`], and with `None` when something may have been lost.
    pub(crate) fn on_foreign(&self, hear: impl Fn(Option<&serde_json::Value>) + Send + Sync + 'static) {
        lock(&self.0.on_foreign).push(Box::new(hear));
    }

    fn publish(&self, what: What) {
        let message = Message { from: self.0.origin, what };
        #[expect(clippy::expect_used, reason = "writing plain data to memory does not fail")]
        let message = Bytes::from(serde_json::to_vec(&message).expect("a message is plain data"));
        let state = Arc::clone(&self.0.state);
        // Callers do not wait for it: they are in the middle of a call, or on a thread that may not.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = state.publish(TOPIC, message).await {
                    tracing::debug!(%error, "a change was not told to the other replicas");
                }
            });
        }
    }
}

impl Inner {
    fn resource_updated(&self, uri: &str) {
        if let Some(sender) = lock(&self.resources).by_uri.get(uri) {
            sender.send_modify(|version| *version += 1);
        }
    }

    fn hear(&self, signal: &Signal) {
        let Signal::Message(message) = signal else { return self.lost() };
        match serde_json::from_slice::<Message>(message) {
            Ok(message) if message.from == self.origin => {}
            Ok(Message { what: What::List(list), .. }) => self.lists.send_modify(|versions| versions.count(list)),
            Ok(Message { what: What::Resource(uri), .. }) => self.resource_updated(&uri),
            Ok(Message { what: What::Other(what), .. }) => lock(&self.on_foreign).iter().for_each(|hear| hear(Some(&what))),
            // From a newer version of the program, in the middle of a rollout.
            Err(error) => tracing::debug!(%error, "a message of another replica was not understood"),
        }
    }

    fn lost(&self) {
        self.lists.send_modify(|versions| {
            for list in [List::Tools, List::Prompts, List::Resources] {
                versions.count(list);
            }
        });
        lock(&self.resources).by_uri.values().for_each(|sender| sender.send_modify(|version| *version += 1));
        lock(&self.on_foreign).iter().for_each(|hear| hear(None));
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(listener) = lock(&self.listener).take() {
            listener.abort();
        }
    }
}

impl std::fmt::Debug for Notifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notifier").finish_non_exhaustive()
    }
}

/// Hears what the other replicas say, as long as somebody holds the notifier.
async fn listen(notifier: std::sync::Weak<Inner>, state: Arc<dyn SharedState>) {
    let mut missed = false;
    loop {
        let Ok(mut subscription) = state.subscribe(TOPIC).await else {
            missed = true;
            tokio::time::sleep(RETRY).await;
            continue;
        };
        if missed && let Some(notifier) = notifier.upgrade() {
            notifier.lost();
        }
        loop {
            let signal = subscription.next().await;
            let Some(notifier) = notifier.upgrade() else { return };
            notifier.hear(&signal);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
