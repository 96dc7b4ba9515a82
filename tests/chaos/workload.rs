//! What agents do all the time: read with cursors, delete after a question in a session, run tasks. Each looks closely at what
//! it is told, and begins again after an error that says so.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::agent::{Agent, LIMIT, Next, PAUSE, Stream, Trouble, trouble_in};
use crate::support::client::McpClient;
use crate::world::{World, fill, token};

const TASKS: &str = "io.modelcontextprotocol/tasks";
/// Longer than a stream is ever silent.
const SIGN_OF_LIFE: Duration = Duration::from_secs(25);
/// A task tells within this time that it has come further.
const TASK_LIMIT: Duration = Duration::from_secs(30);
const LINES: usize = 4_000;
const AGENTS: usize = 24;

/// Agents at work.
pub(crate) struct Workload {
    agents: Vec<(Arc<Seen>, JoinHandle<()>)>,
    stop: Arc<AtomicBool>,
}

/// What has become of one agent's rounds of work.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) done: AtomicUsize,
    failures: Mutex<Vec<Failure>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) at: Instant,
    pub(crate) what: &'static str,
    pub(crate) why: Trouble,
}

impl Workload {
    /// Sets the agents to work, each as a caller of its own.
    pub(crate) fn start(world: &World) -> Self {
        std::fs::write(world.at("long.txt"), long_text()).expect("a file");
        let stop = Arc::<AtomicBool>::default();
        let agents = (0..AGENTS).map(|caller| {
            let (seen, url, token) = (Arc::<Seen>::default(), world.url(), token(caller));
            let (mine, stop) = (Arc::clone(&seen), Arc::clone(&stop));
            let modern =
                McpClient::modern(&url, Some(&token)).declaring(json!({"elicitation": {"form": {}}, "extensions": {TASKS: {}}}));
            let folder = world.at(&format!("folder-{caller}"));
            let work = async move {
                let mut session = None;
                while !stop.load(Ordering::Relaxed) {
                    let (what, outcome) = match caller % 3 {
                        0 => ("read", read(&modern).await),
                        1 => ("task", run_task(&modern).await),
                        _ => ("session", in_session(&mut session, &url, &token, &folder).await),
                    };
                    match outcome {
                        Ok(()) => drop(mine.done.fetch_add(1, Ordering::Relaxed)),
                        Err(why) => mine.lock().push(Failure { at: Instant::now(), what, why }),
                    }
                    sleep(PAUSE).await;
                }
            };
            (seen, tokio::spawn(work))
        });
        Self { agents: agents.collect(), stop }
    }

    /// How many rounds each agent has done.
    pub(crate) fn done(&self) -> Vec<usize> {
        self.agents.iter().map(|(seen, _)| seen.done.load(Ordering::Relaxed)).collect()
    }

    /// Waits until every agent has done more rounds than before.
    pub(crate) async fn all_go_on(&self, rounds: usize, limit: Duration) {
        let (before, start) = (self.done(), Instant::now());
        for (caller, before) in before.iter().enumerate() {
            let (seen, agent) = &self.agents[caller];
            while seen.done.load(Ordering::Relaxed) < before + rounds {
                assert!(!agent.is_finished(), "agent {caller} has found something wrong");
                assert!(start.elapsed() < limit, "agent {caller} does not go on: {:?}", seen.lock().last());
                sleep(PAUSE).await;
            }
        }
    }

    /// Ends it, and gives what has failed.
    pub(crate) async fn stop(self) -> Vec<Failure> {
        self.stop.store(true, Ordering::Relaxed);
        let mut failures = Vec::new();
        for (seen, agent) in self.agents {
            agent.await.expect("the agent found nothing wrong");
            failures.append(&mut seen.lock());
        }
        failures
    }
}

impl Seen {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Failure>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn long_text() -> String {
    (0..LINES).map(|line| format!("line {line}: größer, 日本語, {}\n", "-".repeat(line % 70))).collect()
}

/// Reads a file to its end.
async fn read(client: &McpClient) -> Result<(), Trouble> {
    let (text, mut read, mut arguments) = (long_text(), String::new(), json!({"path": "/long.txt"}));
    loop {
        let result = request(client, "tools/call", json!({"name": "read_file", "arguments": arguments})).await?;
        read.push_str(result["content"][0]["text"].as_str().expect("a page"));
        assert!(text.starts_with(&read), "a page that does not follow the one before, at {}", read.len());
        match result["structuredContent"]["next_cursor"].as_str() {
            Some(cursor) => arguments = json!({"cursor": cursor}),
            None => break,
        }
    }
    assert!(read == text, "{} of {} bytes", read.len(), text.len());
    Ok(())
}

/// Runs a tool as a task that asks.
async fn run_task(client: &McpClient) -> Result<(), Trouble> {
    let name = format!("{:x}.txt", rand::random::<u32>());
    let task = request(client, "tools/call", json!({"name": "confirm_delete", "arguments": {"filename": name}})).await?;
    assert_eq!(task["resultType"], "task", "{task}");
    let id = &task["taskId"];
    let start = Instant::now();
    let mut answered = false;
    loop {
        let task = request(client, "tasks/get", json!({"taskId": id})).await?;
        match task["status"].as_str().expect("a status") {
            "completed" => {
                assert!(answered, "{task}");
                assert_eq!(task["result"]["content"][0]["text"], format!("{name} would be gone now"), "{task}");
                return Ok(());
            }
            "failed" => return Err(trouble_in(&task).expect("an error")),
            // After a failover it can be that the answer was forgotten, and is asked for again.
            "input_required" => {
                let answers = json!({"confirm": {"action": "accept", "content": {"confirm": true}}});
                request(client, "tasks/update", json!({"taskId": id, "inputResponses": answers})).await?;
                answered = true;
            }
            status => assert_eq!(status, "working", "{task}"),
        }
        assert!(start.elapsed() < TASK_LIMIT, "the task does not end: {task}");
        sleep(PAUSE).await;
    }
}

/// One request of the revision without a handshake, which is answered in time whatever happens.
async fn request(client: &McpClient, method: &str, params: Value) -> Result<Value, Trouble> {
    let answered = timeout(LIMIT, client.try_request(method, params)).await.expect("an answer in time");
    let reply = answered.map_err(|_| Trouble::Broken)?;
    assert!([200, 503].contains(&reply.status.as_u16()), "{}: {}", reply.status, reply.text);
    let answer = reply.messages.last().unwrap_or_else(|| panic!("{} without a message: {}", reply.status, reply.text));
    if answer["error"]["code"] == -32602 {
        return Err(Trouble::Lost(answer["error"]["message"].to_string()));
    }
    if let Some(trouble) = trouble_in(answer) {
        return Err(trouble);
    }
    if reply.is_tool_error() {
        let said = reply.content(0).to_owned();
        return Err(if said.starts_with("unavailable:") {
            Trouble::Away(said)
        } else {
            assert!(said.starts_with("invalid_cursor:"), "{said}");
            Trouble::Lost(said)
        });
    }
    Ok(reply.result().clone())
}

/// Deletes a folder, after a question, in a session that is begun when there is none.
async fn in_session(session: &mut Option<Agent>, url: &str, token: &str, folder: &Path) -> Result<(), Trouble> {
    let agent = match session {
        Some(agent) => agent,
        None => session.insert(Agent::connect(url, token).await?),
    };
    fill(folder);
    let deleted = delete_folder(agent, folder).await;
    if let Err(Trouble::Lost(_)) = deleted {
        *session = None;
    }
    deleted
}

async fn delete_folder(agent: &Agent, folder: &Path) -> Result<(), Trouble> {
    let path = format!("/{}", folder.file_name().and_then(|name| name.to_str()).expect("UTF-8"));
    let call = agent.request("tools/call", json!({"name": "delete_file", "arguments": {"path": path}}));
    let response = agent.post(&call).await?;
    if response.headers()["content-type"] == "application/json" {
        // The session could not be looked up, or the question could not be kept.
        let answer: Value = serde_json::from_str(&response.text().await.map_err(|_| Trouble::Broken)?).expect("JSON");
        return Err(trouble_in(&answer).unwrap_or_else(|| panic!("answered without a question: {answer}")));
    }
    let mut stream = Stream::new(response);
    let mut answered = false;
    loop {
        match stream.next(SIGN_OF_LIFE).await.expect("a sign of life") {
            Next::Message(message) if message["method"] == "elicitation/create" => {
                let yes = json!({"action": "accept", "content": {"delete": true}});
                let start = Instant::now();
                answered = true;
                while let Err(trouble) = agent.answer(&message["id"], &yes).await {
                    if matches!(trouble, Trouble::Lost(_)) || start.elapsed() > SIGN_OF_LIFE {
                        return Err(trouble);
                    }
                    sleep(PAUSE).await;
                }
            }
            Next::Message(message) => {
                assert_eq!(message["id"], call["id"], "{message}");
                if let Some(trouble) = trouble_in(&message) {
                    return Err(trouble);
                }
                let said = message["result"]["content"][0]["text"].as_str().expect("a text");
                if said.starts_with("unavailable:") {
                    return Err(Trouble::Away(said.to_owned()));
                }
                // Another replica may have begun again with a call that was done.
                let gone = message["result"]["isError"] != true || said.starts_with("not_found:");
                assert!(answered && gone && !folder.exists(), "{message}");
                return Ok(());
            }
            Next::Place => {}
            Next::End if stream.broken => return Err(Trouble::Broken),
            // A client could resume it; this one begins again.
            Next::End => return Err(Trouble::Away("the stream ended".to_owned())),
        }
    }
}
