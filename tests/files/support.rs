//! A folder of real files, served to callers of any scopes.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use pressmark::auth::{Denied, Principal, ScopeSet};
use pressmark::call::{Caller, Content, Lanes, ToolError, ToolErrorKind};
use pressmark::files::{MountSpec, Tree, View};
use pressmark::path::TreePath;
use pressmark::state::{Cursors, EventId, GroupLimits, LogLimits, MemoryState, Once, SharedState, StateFuture, Subscription};
use pressmark::tools::{GetFileInfo, ReadFile, ToolRegistry, ToolResult};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tempfile::TempDir;

/// What a default server allows a result.
pub(crate) const MAX_RESULT_BYTES: usize = 40_000;
/// What stands around a result on the wire.
pub(crate) const ENVELOPE_BYTES: usize = 300;
const TTL: Duration = Duration::from_secs(60);

/// A temporary folder with `served` in it, mounted at the root, and `outside` beside it.
pub(crate) struct Served {
    pub(crate) temp: TempDir,
    pub(crate) tree: Arc<Tree>,
    pub(crate) cursors: Cursors,
    pub(crate) state: Arc<CountingState>,
    registry: ToolRegistry,
    runtime: tokio::runtime::Runtime,
}

impl Served {
    pub(crate) fn new() -> Self {
        Self::with_budget(MAX_RESULT_BYTES)
    }

    pub(crate) fn with_budget(max_result_bytes: usize) -> Self {
        let temp = TempDir::new().unwrap();
        fs::create_dir(temp.path().join("served")).unwrap();
        fs::create_dir(temp.path().join("outside")).unwrap();
        let root = MountSpec { name: None, directory: temp.path().join("served"), writable: true };
        let tree = Arc::new(Tree::open(vec![root]).unwrap());
        let state = Arc::new(CountingState::default());
        let cursors = Cursors::new(Arc::clone(&state) as Arc<dyn SharedState>, TTL);
        let registry = ToolRegistry::new(Arc::new(Lanes::new(2, 8)), max_result_bytes, Duration::from_secs(20))
            .with(ReadFile::new(Arc::clone(&tree), cursors.clone()))
            .with(GetFileInfo::new(Arc::clone(&tree)));
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        Self { temp, tree, cursors, state, registry, runtime }
    }

    /// Where a served file lies on this machine.
    pub(crate) fn at(&self, name: impl AsRef<Path>) -> PathBuf {
        self.temp.path().join("served").join(name)
    }

    pub(crate) fn outside(&self, name: &str) -> PathBuf {
        self.temp.path().join("outside").join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn call(&self, caller: &Arc<Principal>, tool: &str, arguments: &Value) -> Result<ToolResult, Failure> {
        self.call_raw(caller, tool, &arguments.to_string())
    }

    pub(crate) fn call_raw(&self, caller: &Arc<Principal>, tool: &str, arguments: &str) -> Result<ToolResult, Failure> {
        let arguments = RawValue::from_string(arguments.to_owned()).unwrap();
        let call = self.registry.authorize(caller, tool, Some(arguments.get())).map_err(Failure::Denied)?;
        let round = self.runtime.block_on(call.run(Caller::new(Arc::clone(caller))));
        round.done().expect("asks for nothing").map_err(Failure::Tool)
    }

    /// Reads a page as a caller of all scopes.
    pub(crate) fn read(&self, arguments: &Value) -> Page {
        self.try_read(arguments).unwrap_or_else(|failure| panic!("{arguments}: {failure:?}"))
    }

    pub(crate) fn try_read(&self, arguments: &Value) -> Result<Page, Failure> {
        self.call(&full(), "read_file", arguments).map(Page::new)
    }

    pub(crate) fn info(&self, path: &str) -> Value {
        Page::new(self.call(&full(), "get_file_info", &json!({ "path": path })).unwrap()).structured
    }

    /// Reads to the end by cursor.
    pub(crate) fn read_all(&self, first: &Value) -> Vec<Page> {
        let mut pages = vec![self.read(first)];
        while let Some(cursor) = pages.last().unwrap().next_cursor() {
            pages.push(self.read(&json!({ "cursor": cursor })));
            assert!(pages.len() < 100_000, "reading {first} does not end");
        }
        pages
    }

    pub(crate) fn view(&self, caller: &Arc<Principal>) -> View {
        View::new(Arc::clone(&self.tree), Arc::clone(caller))
    }
}

/// Why a call gave nothing.
#[derive(Debug)]
pub(crate) enum Failure {
    Denied(Denied),
    Tool(ToolError),
}

impl Failure {
    pub(crate) fn kind(&self) -> ToolErrorKind {
        match self {
            Self::Denied(_) => ToolErrorKind::Forbidden,
            Self::Tool(error) => error.kind(),
        }
    }

    pub(crate) fn text(&self) -> String {
        match self {
            Self::Denied(denied) => format!("{denied:?}"),
            Self::Tool(error) => error.to_string(),
        }
    }
}

/// A result, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Page {
    pub(crate) content: Vec<Content>,
    pub(crate) structured: Value,
    /// Of the result on the wire.
    pub(crate) bytes: usize,
    texts: Vec<Option<String>>,
}

impl Page {
    pub(crate) fn new(result: ToolResult) -> Self {
        let structured: Value = serde_json::from_str(result.structured.as_deref().unwrap().get()).unwrap();
        let wire = json!({ "content": result.content, "structuredContent": structured });
        let texts = result.content.iter().map(text_of).collect();
        Self { content: result.content, texts, structured, bytes: wire.to_string().len() + ENVELOPE_BYTES }
    }

    /// The first content block's text.
    pub(crate) fn text(&self) -> &str {
        self.texts[0].as_deref().expect("a text")
    }

    /// The line that says what was shown.
    pub(crate) fn summary(&self) -> &str {
        self.texts.last().and_then(Option::as_deref).expect("a text")
    }

    pub(crate) fn next_cursor(&self) -> Option<&str> {
        self.structured["next_cursor"].as_str()
    }

    pub(crate) fn number(&self, name: &str) -> u64 {
        self.structured[name].as_u64().unwrap_or_else(|| panic!("no {name} in {}", self.structured))
    }
}

fn text_of(content: &Content) -> Option<String> {
    match content {
        Content::Text { text } => Some(text.to_string()),
        _ => None,
    }
}

/// A caller of all scopes.
pub(crate) fn full() -> Arc<Principal> {
    caller("alice", &["files"])
}

pub(crate) fn caller(subject: &str, scopes: &[&str]) -> Arc<Principal> {
    let scopes = ScopeSet::parse(scopes.iter().copied());
    Arc::new(Principal::new("test", subject, scopes))
}

pub(crate) fn path(text: &str) -> TreePath {
    TreePath::parse(text).unwrap()
}

pub(crate) fn name_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

/// Ends the thread beside a test, also when the test fails.
pub(crate) struct StopOnDrop<'a>(pub(crate) &'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// The store of one replica, counting its round trips.
#[derive(Debug, Default)]
pub(crate) struct CountingState {
    memory: MemoryState,
    round_trips: AtomicUsize,
}

impl CountingState {
    /// Round trips since the last time this was asked.
    pub(crate) fn take_round_trips(&self) -> usize {
        self.round_trips.swap(0, Ordering::Relaxed)
    }

    fn counted(&self) -> &MemoryState {
        self.round_trips.fetch_add(1, Ordering::Relaxed);
        &self.memory
    }
}

impl SharedState for CountingState {
    fn put<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StateFuture<'a, ()> {
        self.counted().put(key, value, ttl)
    }

    fn get<'a>(&'a self, key: &'a str) -> StateFuture<'a, Option<Bytes>> {
        self.counted().get(key)
    }

    fn get_and_refresh<'a>(&'a self, key: &'a str, ttl: Duration) -> StateFuture<'a, Option<Bytes>> {
        self.counted().get_and_refresh(key, ttl)
    }

    fn delete<'a>(&'a self, key: &'a str) -> StateFuture<'a, bool> {
        self.counted().delete(key)
    }

    fn put_if_absent<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StateFuture<'a, bool> {
        self.counted().put_if_absent(key, value, ttl)
    }

    fn replace<'a>(&'a self, key: &'a str, expected: &'a [u8], value: Bytes, ttl: Duration) -> StateFuture<'a, bool> {
        self.counted().replace(key, expected, value, ttl)
    }

    fn delete_if<'a>(&'a self, key: &'a str, expected: &'a [u8]) -> StateFuture<'a, bool> {
        self.counted().delete_if(key, expected)
    }

    fn put_in_group<'a>(
        &'a self,
        group: &'a str,
        member: &'a str,
        value: Bytes,
        ttl: Duration,
        limits: GroupLimits,
    ) -> StateFuture<'a, ()> {
        self.counted().put_in_group(group, member, value, ttl, limits)
    }

    fn replace_in_group<'a>(
        &'a self,
        group: &'a str,
        member: &'a str,
        expected: Option<&'a [u8]>,
        value: Bytes,
        ttl: Duration,
        limits: GroupLimits,
    ) -> StateFuture<'a, bool> {
        self.counted().replace_in_group(group, member, expected, value, ttl, limits)
    }

    fn get_in_group<'a>(&'a self, group: &'a str, member: &'a str, ttl: Duration) -> StateFuture<'a, Option<Bytes>> {
        self.counted().get_in_group(group, member, ttl)
    }

    fn delete_in_group<'a>(&'a self, group: &'a str, member: &'a str) -> StateFuture<'a, bool> {
        self.counted().delete_in_group(group, member)
    }

    fn delete_all_in_group<'a>(&'a self, group: &'a str, beginning: &'a str) -> StateFuture<'a, ()> {
        self.counted().delete_all_in_group(group, beginning)
    }

    fn append<'a>(
        &'a self,
        group: &'a str,
        member: &'a str,
        event: Bytes,
        once: Option<Once<'a>>,
        limits: LogLimits,
    ) -> StateFuture<'a, Option<EventId>> {
        self.counted().append(group, member, event, once, limits)
    }

    fn read_log<'a>(
        &'a self,
        group: &'a str,
        member: &'a str,
        after: Option<EventId>,
        max: usize,
    ) -> StateFuture<'a, Vec<(EventId, Bytes)>> {
        self.counted().read_log(group, member, after, max)
    }

    fn publish<'a>(&'a self, topic: &'a str, message: Bytes) -> StateFuture<'a, ()> {
        self.counted().publish(topic, message)
    }

    fn subscribe<'a>(&'a self, topic: &'a str) -> StateFuture<'a, Subscription> {
        self.counted().subscribe(topic)
    }

    fn check(&self) -> StateFuture<'_, ()> {
        self.counted().check()
    }
}
