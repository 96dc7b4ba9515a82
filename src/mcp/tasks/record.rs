//! What is known of a task: written to the shared state at its creation, and changed there alone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::auth::ScopeSet;
use crate::call::{Answers, ClientCapabilities, InputRequest, InputRequests};

/// A task (extension `io.modelcontextprotocol/tasks`, "Tasks").
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct TaskRecord {
    pub(super) id: String,
    /// Another with every change, at random: two that change the same record must not write the same.
    pub(super) revision: u64,
    /// Milliseconds since 1970.
    created: u64,
    /// Milliseconds since 1970.
    updated: u64,
    /// Counted from the creation.
    ttl_ms: u64,
    pub(super) tool: String,
    /// With which rights it runs: to who has less it is unknown.
    pub(super) scopes: ScopeSet,
    /// None when the call has none, and when the task is over.
    pub(super) arguments: Option<Box<RawValue>>,
    /// What the client could do that made the call.
    pub(super) capabilities: ClientCapabilities,
    /// By the keys that the tool gave its questions.
    pub(super) answers: Answers,
    /// Every key under which the client has been asked.
    asked: BTreeSet<String>,
    /// How often whoever ran it went away in the middle.
    pub(super) interruptions: u32,
    pub(super) message: Option<String>,
    pub(super) state: TaskState,
}

/// How far a task has come.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) enum TaskState {
    /// The call runs, or waits to be run.
    Working {
        /// Which run of the call it is; none when it waits for one.
        run: Option<u64>,
    },
    /// The client has to answer first; nothing runs.
    InputRequired {
        /// By the keys that the client knows.
        questions: BTreeMap<String, Question>,
    },
    /// With a result, be it an error of the tool's.
    Completed { result: Box<RawValue> },
    /// With an error of the protocol.
    Failed { error: Box<RawValue> },
    /// At the client's wish.
    Cancelled,
}

/// A question that waits for its answer.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Question {
    /// What the tool calls it.
    key: String,
    request: InputRequest,
}

/// A call that becomes a task.
pub(super) struct NewTask {
    pub(super) tool: String,
    pub(super) scopes: ScopeSet,
    pub(super) arguments: Option<Box<RawValue>>,
    pub(super) capabilities: ClientCapabilities,
    pub(super) answers: Answers,
    pub(super) ttl: Duration,
}

impl TaskRecord {
    /// A task with a new id, in its run number `run`.
    pub(super) fn new(task: NewTask, run: u64) -> Self {
        let NewTask { tool, scopes, arguments, capabilities, answers, ttl } = task;
        let now = milliseconds_since_1970();
        Self {
            id: format!("{:032x}", rand::random::<u128>()),
            revision: rand::random(),
            created: now,
            updated: now,
            ttl_ms: u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX),
            tool,
            scopes,
            arguments,
            capabilities,
            answers,
            asked: BTreeSet::new(),
            interruptions: 0,
            message: None,
            state: TaskState::Working { run: Some(run) },
        }
    }

    /// Is there nothing more to come?
    pub(super) fn is_over(&self) -> bool {
        match self.state {
            TaskState::Working { .. } | TaskState::InputRequired { .. } => false,
            TaskState::Completed { .. } | TaskState::Failed { .. } | TaskState::Cancelled => true,
        }
    }

    pub(super) fn is_working(&self) -> bool {
        matches!(self.state, TaskState::Working { .. })
    }

    /// Is this the run that may change the record?
    pub(super) fn is_in_run(&self, run: u64) -> bool {
        matches!(self.state, TaskState::Working { run: Some(current) } if current == run)
    }

    /// How long the task lives, from its creation.
    pub(super) fn ttl(&self) -> Duration {
        Duration::from_millis(self.ttl_ms)
    }

    /// How much of that is left: so long the call may take.
    pub(super) fn time_left(&self) -> Duration {
        Duration::from_millis(self.created.saturating_add(self.ttl_ms).saturating_sub(milliseconds_since_1970()))
    }

    /// Begins another run of the call.
    pub(super) fn begin(&mut self, run: u64) {
        if let TaskState::Working { run: current } = &mut self.state {
            self.interruptions += u32::from(current.is_some());
            *current = Some(run);
        }
    }

    /// Ends the run with questions. A key that the client has seen before gets a number, since a client answers no key
    /// twice (extension, "Task Update Requests": a key is unique over the lifetime of its task).
    pub(super) fn ask(&mut self, requests: InputRequests) {
        let questions = requests.into_iter().map(|(key, request)| {
            let mut names = std::iter::once(key.clone()).chain((2_u64..).map(|number| format!("{key}-{number}")));
            let name = names.find(|name| !self.asked.contains(name)).unwrap_or_default();
            self.asked.insert(name.clone());
            (name, Question { key, request })
        });
        let questions = questions.collect();
        self.message = None;
        self.state = TaskState::InputRequired { questions };
    }

    /// Takes the answers to outstanding questions and leaves all others alone. When there is no question left the call waits
    /// to be run again. `false` when there was nothing to take.
    pub(super) fn answer(&mut self, responses: &Answers) -> bool {
        let TaskState::InputRequired { questions } = &mut self.state else { return false };
        let before = questions.len();
        for (name, response) in responses {
            if let Some(question) = questions.remove(name) {
                self.answers.insert(question.key, response.clone());
            }
        }
        let taken = questions.len() < before;
        if questions.is_empty() {
            self.state = TaskState::Working { run: None };
        }
        taken
    }

    /// Ends the task. What was only needed to run it goes.
    pub(super) fn end(&mut self, state: TaskState, message: Option<String>) {
        self.state = state;
        self.message = message;
        self.arguments = None;
        self.answers.clear();
    }

    /// Marks the record as changed, now.
    pub(super) fn touch(&mut self) {
        self.revision = rand::random();
        // The clocks of two replicas differ.
        self.updated = self.updated.max(milliseconds_since_1970());
    }

    /// The task as clients see it ("DetailedTask").
    pub(super) fn view(&self) -> TaskView<'_> {
        let view = |status| TaskView {
            task_id: &self.id,
            status,
            status_message: self.message.as_deref(),
            created_at: rfc3339(self.created),
            last_updated_at: rfc3339(self.updated),
            ttl_ms: self.ttl_ms,
            poll_interval_ms: POLL_INTERVAL_MS,
            input_requests: None,
            result: None,
            error: None,
        };
        match &self.state {
            TaskState::Working { .. } => view("working"),
            TaskState::InputRequired { questions } => {
                let requests = questions.iter().map(|(name, question)| (name.as_str(), &question.request)).collect();
                TaskView { input_requests: Some(requests), ..view("input_required") }
            }
            TaskState::Completed { result } => TaskView { result: Some(result), ..view("completed") },
            TaskState::Failed { error } => TaskView { error: Some(error), ..view("failed") },
            TaskState::Cancelled => view("cancelled"),
        }
    }
}

/// How often a client should look.
const POLL_INTERVAL_MS: u64 = 1_000;

/// A task on the wire.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TaskView<'a> {
    task_id: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_message: Option<&'a str>,
    created_at: String,
    last_updated_at: String,
    ttl_ms: u64,
    poll_interval_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_requests: Option<BTreeMap<&'a str, &'a InputRequest>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a RawValue>,
}

fn milliseconds_since_1970() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

fn rfc3339(milliseconds: u64) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(milliseconds)).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn record() -> TaskRecord {
        let (arguments, answers) = (serde_json::value::to_raw_value(&json!({ "a": 1 })).ok(), Answers::new());
        let (tool, capabilities, ttl) = ("t".to_owned(), ClientCapabilities::default(), Duration::from_secs(60));
        TaskRecord::new(NewTask { tool, scopes: ScopeSet::default(), arguments, capabilities, answers, ttl }, 7)
    }

    fn ask(record: &mut TaskRecord, keys: &[&str]) -> Vec<String> {
        let request = InputRequest { method: "roots/list".to_owned(), params: json!({}) };
        record.ask(keys.iter().map(|key| ((*key).to_owned(), request.clone())).collect());
        let view = serde_json::to_value(record.view()).expect("plain data");
        assert_eq!(view["status"], "input_required");
        view["inputRequests"].as_object().expect("requests").keys().cloned().collect()
    }

    fn answers(pairs: &[(&str, i32)]) -> Answers {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect()
    }

    #[test]
    fn a_key_is_used_once_in_the_life_of_a_task() {
        let mut record = record();
        assert_eq!(ask(&mut record, &["a", "a-2"]), ["a", "a-2"]);
        assert!(record.answer(&answers(&[("a", 1), ("a-2", 2)])));
        assert_eq!(ask(&mut record, &["a"]), ["a-3"], "the tool's own `a-2` has been seen");
        assert!(!record.answer(&answers(&[("a", 9), ("b", 9)])), "an answered key and an unknown one");
        assert!(record.answer(&answers(&[("a-3", 3)])));
        assert_eq!(record.answers, answers(&[("a", 3), ("a-2", 2)]), "answers have the keys that the tool knows");
    }

    #[test]
    fn it_waits_for_the_last_answer() {
        let mut record = record();
        ask(&mut record, &["a", "b"]);
        assert!(record.answer(&answers(&[("b", 2)])) && !record.is_working());
        assert!(record.answer(&answers(&[("a", 1)])));
        assert!(matches!(record.state, TaskState::Working { run: None }));
        assert!(!record.is_in_run(7));
    }

    #[test]
    fn a_record_reads_back() {
        let mut record = record();
        let states = [
            TaskState::Working { run: Some(u64::MAX) },
            TaskState::Completed { result: RawValue::from_string(r#"{"b":1,"a":1e400}"#.to_owned()).expect("JSON") },
            TaskState::Cancelled,
        ];
        for state in states {
            record.state = state;
            let text = serde_json::to_string(&record).expect("plain data");
            let read: TaskRecord = serde_json::from_str(&text).expect("what was written");
            assert_eq!(serde_json::to_string(&read).expect("plain data"), text);
        }
    }
}
