//! Fifty agents that take no failure for granted: each call is counted, each answer is compared with what it must be.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::agent::{Agent, LIMIT, Next, PAUSE, Stream, Trouble};
use crate::support::client::McpClient;
use crate::world::{World, fill, token};

/// Between two rounds of an agent: fifty make some hundred calls a second together.
const REST: Duration = Duration::from_millis(100);
/// Longer than a stream is ever silent.
const SIGN_OF_LIFE: Duration = Duration::from_secs(25);
const LINES: usize = 3_000;
const BOOKS: usize = 60;
/// As many of each kind of work.
const KINDS: [(Kind, usize); 7] = [
    (Kind::Read, 12),
    (Kind::Search, 6),
    (Kind::Edit, 6),
    (Kind::EditInSession, 6),
    (Kind::DeleteInSession, 6),
    (Kind::Listen, 7),
    (Kind::ListenInSession, 7),
];
/// Files that are edited and listened to.
const LEDGERS: usize = 12;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// A long file by cursors (2026-07-28).
    Read,
    /// A search in several pages (2026-07-28).
    Search,
    /// One more line in a ledger (2026-07-28).
    Edit,
    /// The same in a session (2025-11-25).
    EditInSession,
    /// A folder, after a question on the stream that answers the call (2025-11-25).
    DeleteInSession,
    /// `subscriptions/listen` (2026-07-28).
    Listen,
    /// The stream of GET, with a subscription (2025-11-25).
    ListenInSession,
}

/// Agents at work.
pub(crate) struct Fleet {
    agents: Vec<(Arc<Work>, JoinHandle<()>)>,
    stop: Arc<AtomicBool>,
    tally: Arc<Tally>,
}

/// What one agent works with.
struct Work {
    number: usize,
    url: String,
    token: String,
    /// Its folder, or its ledger.
    place: PathBuf,
    path: String,
    tally: Arc<Tally>,
    stop: Arc<AtomicBool>,
    rounds: AtomicUsize,
    /// Of a ledger: the last line that was written, or seen by one who listens.
    line: AtomicUsize,
}

/// What has happened, over all agents.
#[derive(Default)]
pub(crate) struct Tally {
    calls: Mutex<BTreeMap<&'static str, usize>>,
    failed: Mutex<Vec<String>>,
    /// Streams that ended and were gone on with, and events of changes.
    pub(crate) resumed: AtomicUsize,
    pub(crate) listened_anew: AtomicUsize,
    pub(crate) events: AtomicUsize,
}

impl Tally {
    /// Counts a call; `None` when it failed.
    fn count<T, E: std::fmt::Debug>(&self, what: &'static str, outcome: Result<T, E>) -> Option<T> {
        *self.calls.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default() += 1;
        match outcome {
            Ok(answer) => Some(answer),
            Err(why) => {
                self.failed.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{what}: {why:?}"));
                None
            }
        }
    }

    /// How many calls there were of each kind.
    pub(crate) fn calls(&self) -> BTreeMap<&'static str, usize> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What failed, and how.
    pub(crate) fn failed(&self) -> Vec<String> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Fleet {
    /// Sets fifty agents to work.
    pub(crate) fn start(world: &World) -> Self {
        std::fs::write(world.at("long.txt"), long_text()).expect("a file");
        std::fs::create_dir(world.at("library")).expect("a folder");
        for book in 0..BOOKS {
            std::fs::write(world.at(&format!("library/{book:02}.txt")), "chaff\n".repeat(200) + &needle(book)).expect("a file");
        }
        for ledger in 0..LEDGERS {
            std::fs::write(world.at(&format!("ledger-{ledger}.txt")), "end\n").expect("a file");
        }
        let (stop, tally) = (Arc::<AtomicBool>::default(), Arc::<Tally>::default());
        let mut agents = Vec::new();
        let (mut writers, mut listeners) = (0..LEDGERS, (0..LEDGERS).cycle());
        for (number, kind) in KINDS.iter().flat_map(|(kind, count)| std::iter::repeat_n(*kind, *count)).enumerate() {
            let path = match kind {
                Kind::Edit | Kind::EditInSession => format!("/ledger-{}.txt", writers.next().expect("a ledger for each")),
                Kind::Listen | Kind::ListenInSession => format!("/ledger-{}.txt", listeners.next().expect("endless")),
                Kind::Read | Kind::Search | Kind::DeleteInSession => format!("/folder-{number}"),
            };
            let work = Arc::new(Work {
                number,
                url: world.url(),
                token: token(number),
                place: world.at(&path),
                path,
                tally: Arc::clone(&tally),
                stop: Arc::clone(&stop),
                rounds: AtomicUsize::new(0),
                line: AtomicUsize::new(0),
            });
            agents.push((Arc::clone(&work), tokio::spawn(work.run(kind))));
        }
        Self { agents, stop, tally }
    }

    /// Waits until every agent that makes calls has done more rounds than before.
    pub(crate) async fn all_go_on(&self, rounds: usize, limit: Duration) {
        let before: Vec<_> = self.agents.iter().map(|(work, _)| work.rounds.load(Ordering::Relaxed)).collect();
        let start = Instant::now();
        for ((work, agent), before) in self.agents.iter().zip(before) {
            while work.rounds.load(Ordering::Relaxed) < before + rounds {
                let number = work.number;
                assert!(!agent.is_finished(), "agent {number} has found something wrong");
                assert!(start.elapsed() < limit, "agent {number} does not go on: {:?}", self.tally.failed());
                sleep(PAUSE).await;
            }
        }
    }

    /// Ends the work. Every ledger then has each of its lines once, and all who listen have been told of the last.
    pub(crate) async fn stop(self, limit: Duration) -> Arc<Tally> {
        self.stop.store(true, Ordering::Relaxed);
        let mut last = BTreeMap::new();
        let (listening, calling): (Vec<_>, Vec<_>) = self.agents.into_iter().zip(kinds()).partition(|(_, kind)| kind.listens());
        for ((work, agent), kind) in calling {
            agent.await.expect("the agent found nothing wrong");
            if matches!(kind, Kind::Edit | Kind::EditInSession) {
                let lines = work.line.load(Ordering::Relaxed);
                let text = std::fs::read_to_string(&work.place).expect("a file");
                assert_eq!(text, ledger(lines), "{}", work.path);
                last.insert(work.path.clone(), lines);
            }
        }
        let start = Instant::now();
        for ((work, agent), _) in listening {
            while work.line.load(Ordering::Relaxed) < last[&work.path] {
                assert!(!agent.is_finished(), "agent {} has found something wrong", work.number);
                let seen = work.line.load(Ordering::Relaxed);
                assert!(start.elapsed() < limit, "{} of {} lines of {} were told of", seen, last[&work.path], work.path);
                sleep(PAUSE).await;
            }
            agent.abort();
        }
        self.tally
    }
}

fn kinds() -> impl Iterator<Item = Kind> {
    KINDS.iter().flat_map(|(kind, count)| std::iter::repeat_n(*kind, *count))
}

impl Kind {
    fn listens(self) -> bool {
        matches!(self, Self::Listen | Self::ListenInSession)
    }
}

fn long_text() -> String {
    (0..LINES).map(|line| format!("line {line}: größer, 日本語, {}\n", "-".repeat(line % 70))).collect()
}

fn needle(book: usize) -> String {
    format!("needle-{book}\n")
}

fn ledger(lines: usize) -> String {
    (1..=lines).map(|line| format!("line {line}\n")).collect::<String>() + "end\n"
}

/// The next line of a ledger: an edit that fits once.
fn next_line(path: &str, line: usize) -> Value {
    let old = if line == 1 { "end\n".to_owned() } else { format!("line {}\nend\n", line - 1) };
    let new = old.replace("end\n", &format!("line {line}\nend\n"));
    json!({"name": "edit_file", "arguments": {"path": path, "edits": [{"old_text": old, "new_text": new}]}})
}

impl Work {
    async fn run(self: Arc<Self>, kind: Kind) {
        let modern = McpClient::modern(&self.url, Some(&self.token));
        match kind {
            Kind::Listen => return self.listen(&modern).await,
            Kind::ListenInSession => return self.listen_in_session(self.session().await).await,
            Kind::Read | Kind::Search | Kind::Edit => {
                while !self.stop.load(Ordering::Relaxed) {
                    match kind {
                        Kind::Read => self.read(&modern).await,
                        Kind::Search => self.search(&modern).await,
                        _ => self.edit(&modern).await,
                    }
                    self.rested().await;
                }
            }
            Kind::EditInSession | Kind::DeleteInSession => {
                let session = self.session().await;
                while !self.stop.load(Ordering::Relaxed) {
                    match kind {
                        Kind::EditInSession => self.edit_in_session(&session).await,
                        _ => self.delete_in_session(&session).await,
                    }
                    self.rested().await;
                }
            }
        }
    }

    async fn rested(&self) {
        self.rounds.fetch_add(1, Ordering::Relaxed);
        sleep(REST).await;
    }

    async fn session(&self) -> Agent {
        Agent::connect(&self.url, &self.token).await.expect("a session, before anything happens")
    }

    /// One call of a tool in 2026-07-28; `None` when there is no good answer.
    async fn call(&self, client: &McpClient, what: &'static str, params: Value) -> Option<Value> {
        let outcome = match client.try_request("tools/call", params).await {
            Ok(reply) if reply.status == 200 && reply.messages.len() == 1 => match reply.messages[0].get("result") {
                Some(result) if result["isError"] != true => Ok(result.clone()),
                _ => Err(reply.text),
            },
            Ok(reply) => Err(format!("{}: {}", reply.status, reply.text)),
            Err(error) => Err(format!("no answer: {error:?}")),
        };
        self.tally.count(what, outcome)
    }

    async fn read(&self, client: &McpClient) {
        let (text, mut read, mut arguments) = (long_text(), String::new(), json!({"path": "/long.txt"}));
        loop {
            let page = json!({"name": "read_file", "arguments": arguments});
            let Some(page) = self.call(client, "read", page).await else { return };
            read.push_str(page["content"][0]["text"].as_str().expect("a page"));
            match page["structuredContent"]["next_cursor"].as_str() {
                Some(cursor) => arguments = json!({"cursor": cursor}),
                None => break,
            }
        }
        assert!(read == text, "{} of {} bytes", read.len(), text.len());
    }

    async fn search(&self, client: &McpClient) {
        let mut found = Vec::new();
        let mut arguments = json!({"pattern": "needle-[0-9]+", "path": "/library", "mode": "lines", "limit": 25});
        loop {
            let page = json!({"name": "search_text", "arguments": arguments});
            let Some(page) = self.call(client, "search", page).await else { return };
            for file in page["structuredContent"]["files"].as_array().expect("files") {
                let texts = file["lines"].as_array().expect("lines").iter();
                found.extend(texts.map(|line| format!("{}\n", line["text"].as_str().expect("a text"))));
            }
            match page["structuredContent"]["next_cursor"].as_str() {
                Some(cursor) => arguments = json!({"cursor": cursor}),
                None => break,
            }
        }
        assert_eq!(found, (0..BOOKS).map(needle).collect::<Vec<_>>(), "each match once, in order");
    }

    async fn edit(&self, client: &McpClient) {
        let line = self.line.load(Ordering::Relaxed) + 1;
        if let Some(edited) = self.call(client, "edit", next_line(&self.path, line)).await {
            assert_eq!(edited["structuredContent"]["replacements"], 1, "{edited}");
            self.line.store(line, Ordering::Relaxed);
        }
    }

    async fn edit_in_session(&self, session: &Agent) {
        let line = self.line.load(Ordering::Relaxed) + 1;
        let edited = session.ask("tools/call", next_line(&self.path, line)).await;
        if let Some(edited) = self.tally.count("edit in a session", edited) {
            assert_eq!(edited["structuredContent"]["replacements"], 1, "{edited}");
            self.line.store(line, Ordering::Relaxed);
        }
    }

    /// One call that is answered by a stream, on which a question comes, and after its answer the result.
    async fn delete_in_session(&self, session: &Agent) {
        fill(&self.place);
        let call = session.request("tools/call", json!({"name": "delete_file", "arguments": {"path": self.path}}));
        let outcome = self.delete(session, &call).await;
        if let Some(result) = self.tally.count("delete with a question", outcome) {
            assert!(result["isError"] != true && !self.place.exists(), "{result}");
        }
    }

    async fn delete(&self, session: &Agent, call: &Value) -> Result<Value, Trouble> {
        let mut stream = Stream::new(session.post(call).await?);
        let mut result = None;
        loop {
            match stream.next(SIGN_OF_LIFE).await? {
                Next::Message(message) if message["method"] == "elicitation/create" => {
                    // Long enough for some to be in the middle of it when their replica ends.
                    sleep(Duration::from_millis(rand::random_range(0..800))).await;
                    assert!(self.place.exists(), "deleted before the answer");
                    let answer = json!({"action": "accept", "content": {"delete": true}});
                    self.tally.count("answer to a question", session.answer(&message["id"], &answer).await);
                }
                Next::Message(message) => {
                    assert!(message["id"] == call["id"] && result.is_none(), "{message} after {result:?}");
                    result = Some(message["result"].clone());
                }
                Next::Place => {}
                Next::End if stream.broken => return Err(Trouble::Broken),
                Next::End => match result {
                    Some(result) => return Ok(result),
                    None => {
                        self.tally.resumed.fetch_add(1, Ordering::Relaxed);
                        session.resume(&mut stream).await?;
                    }
                },
            }
        }
    }

    /// Notes how far the ledger has come.
    fn look(&self, text: &str) {
        let lines = text.lines().count() - 1;
        assert_eq!(text, ledger(lines), "{}", self.path);
        self.line.fetch_max(lines, Ordering::Relaxed);
    }

    fn look_at_the_file(&self) {
        self.tally.events.fetch_add(1, Ordering::Relaxed);
        self.look(&std::fs::read_to_string(&self.place).expect("the file is there at any time"));
    }

    /// Listens, looks at how things stand, and hears of each change from then on; again when the stream has ended.
    async fn listen(&self, client: &McpClient) {
        let filter = json!({"notifications": {"resourceSubscriptions": [format!("file://{}", self.path)]}});
        loop {
            let mut stream = client.open("subscriptions/listen", filter.clone()).await;
            self.tally.count("listen", if stream.status() == 200 { Ok(()) } else { Err(stream.status()) });
            let first = tokio::time::timeout(LIMIT, stream.next()).await.expect("in time").expect("an acknowledgement");
            assert_eq!(first["method"], "notifications/subscriptions/acknowledged", "{first}");
            let read = json!({"name": "read_file", "arguments": {"path": self.path}});
            if let Some(page) = self.call(client, "read", read).await {
                self.look(page["content"][0]["text"].as_str().expect("a text"));
            }
            let mut said_goodbye = false;
            // A stream that is cut off is a failure of the client's.
            while let Some(message) = stream.next().await {
                self.rounds.fetch_add(1, Ordering::Relaxed);
                match message["method"].as_str() {
                    Some("notifications/resources/updated") => self.look_at_the_file(),
                    _ => said_goodbye = message["result"]["resultType"] == "complete",
                }
            }
            assert!(said_goodbye, "a stream ended without its last message");
            self.tally.listened_anew.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn listen_in_session(&self, session: Agent) {
        let uri = format!("file://{}", self.path);
        self.tally.count("subscribe", session.ask("resources/subscribe", json!({ "uri": uri })).await);
        let Some(mut stream) = self.tally.count("open a session's stream", session.listen().await) else { return };
        self.look(&std::fs::read_to_string(&self.place).expect("the file is there at any time"));
        loop {
            match stream.next(SIGN_OF_LIFE).await.expect("a sign of life") {
                Next::Message(message) if message["method"] == "notifications/resources/updated" => {
                    self.rounds.fetch_add(1, Ordering::Relaxed);
                    self.look_at_the_file();
                }
                // Folders come and go, which every session is told.
                Next::Message(_) | Next::Place => {}
                Next::End => {
                    assert!(!stream.broken, "a session's stream was cut off");
                    self.tally.resumed.fetch_add(1, Ordering::Relaxed);
                    if self.tally.count("resume a session's stream", session.resume(&mut stream).await).is_none() {
                        return;
                    }
                }
            }
        }
    }
}
