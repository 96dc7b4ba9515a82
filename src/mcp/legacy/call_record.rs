//! What is kept of a call that streams, so that any replica can go on with it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::event::StreamName;
use crate::auth::ScopeSet;
use crate::call::{Answers, InputRequest, InputRequests};
use crate::mcp::{ProtocolVersion, RequestId};

/// A call that streams. Changed by comparing and swapping only.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct CallRecord {
    pub(super) request: RequestId,
    /// Which use of the request id this is.
    pub(super) nonce: u32,
    /// The message that began it, as [`essence`](super::essence) left it.
    pub(super) message: String,
    /// With which rights it runs: who has less is neither shown anything of it nor may answer it.
    pub(super) scopes: ScopeSet,
    /// The tool, where it is one that is called.
    pub(super) tool: Option<String>,
    pub(super) phase: Phase,
    /// How often the call has asked.
    pub(super) round: u32,
    /// What it asked last.
    pub(super) questions: InputRequests,
    /// What has been answered, in this round and before.
    pub(super) answers: Answers,
    /// How far it has told that it has come.
    pub(super) reported: Option<f64>,
    /// How often another replica has gone on with it in the middle of a round.
    pub(super) takeovers: u32,
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Phase {
    /// A replica runs it; which one tells the lease. The number tells one run from another.
    Running(u64),
    /// The client has to answer.
    Waiting,
    /// All answers are there, and no replica has begun to run it with them.
    Ready,
    /// It is over.
    Done,
}

/// A question as the client names it: the id of the server's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct QuestionId {
    pub(super) stream: StreamName,
    pub(super) round: u32,
    pub(super) key: String,
}

impl CallRecord {
    /// A call that has just begun.
    pub(super) fn new(request: &RequestId, message: String, scopes: ScopeSet, tool: Option<String>) -> Self {
        Self {
            request: request.clone(),
            nonce: rand::random(),
            message,
            scopes,
            tool,
            phase: Phase::Running(rand::random()),
            round: 0,
            questions: InputRequests::new(),
            answers: Answers::new(),
            reported: None,
            takeovers: 0,
        }
    }

    /// `None` for what this version of the program did not write.
    pub(super) fn read(stored: &[u8]) -> Option<Self> {
        serde_json::from_slice(stored).ok()
    }

    pub(super) fn write(&self) -> Bytes {
        #[expect(clippy::expect_used, reason = "writing plain data to memory does not fail")]
        serde_json::to_vec(self).expect("a record is plain data").into()
    }

    /// The call now waits for answers to these questions.
    pub(super) fn ask(&mut self, questions: InputRequests, answers: Answers, reported: Option<f64>) {
        self.phase = Phase::Waiting;
        self.round += 1;
        self.answers = answers;
        // An answer that the call did not understand counts as none.
        self.answers.retain(|key, _| !questions.contains_key(key));
        self.questions = questions;
        self.reported = reported;
    }

    /// Does the call wait for the answer to this question?
    pub(super) fn waits_for(&self, question: &QuestionId) -> bool {
        self.phase == Phase::Waiting
            && matches!(question.stream, StreamName::Call { nonce, .. } if nonce == self.nonce)
            && self.round == question.round
            && self.questions.contains_key(&question.key)
            && !self.answers.contains_key(&question.key)
    }

    /// Takes an answer that the call waits for; with the last one it is ready to go on.
    pub(super) fn answer(&mut self, question: QuestionId, answer: Value) {
        self.answers.insert(question.key, answer);
        if self.questions.keys().all(|key| self.answers.contains_key(key)) {
            self.phase = Phase::Ready;
        }
    }
}

impl QuestionId {
    /// `stream/round/key`.
    pub(super) fn parse(id: &RequestId) -> Option<Self> {
        let id: String = serde_json::from_str(id.as_json()).ok()?;
        let mut parts = id.splitn(3, '/');
        let (stream, round, key) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { stream: stream.parse().ok()?, round: round.parse().ok()?, key: key.to_owned() })
    }

    /// The server's request, in the form of the revision.
    pub(super) fn write(&self, question: &InputRequest, version: ProtocolVersion) -> Vec<u8> {
        let id = format!("{}/{}/{}", self.stream, self.round, self.key);
        let mut params = question.params.clone();
        if question.method == "elicitation/create" {
            if version < ProtocolVersion::V2025_11_25 {
                // There is one mode only, which has no name.
                params.as_object_mut().map(|params| params.remove("mode"));
            } else if params["mode"] == "url" {
                params["elicitationId"] = id.as_str().into();
            }
        }
        json!({ "jsonrpc": "2.0", "id": id, "method": question.method, "params": params }).to_string().into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(json: &str) -> RequestId {
        serde_json::from_str(json).expect("an id")
    }

    #[test]
    fn a_question_is_answered_once_and_in_its_round() {
        let mut record = CallRecord::new(&request("7"), String::new(), ScopeSet::default(), None);
        let stream = StreamName::Call { call: super::super::event::CallName::of(&request("7")), nonce: record.nonce };
        let question = |key: &str, round| QuestionId { stream: stream.clone(), round, key: key.to_owned() };
        let asked = InputRequest { method: "roots/list".to_owned(), params: json!({}) };
        let questions: InputRequests = [("a/b".to_owned(), asked.clone()), ("c".to_owned(), asked.clone())].into();
        assert!(!record.waits_for(&question("c", 0)), "nothing was asked");
        record.ask(questions, Answers::from([("c".to_owned(), json!("not understood"))]), None);

        let sent: Value = serde_json::from_slice(&question("a/b", 1).write(&asked, ProtocolVersion::V2025_11_25)).expect("JSON");
        let answered = QuestionId::parse(&request(&sent["id"].to_string())).expect("an id of ours");
        assert_eq!(answered, question("a/b", 1));
        assert!(record.waits_for(&answered));
        assert!(!record.waits_for(&question("a/b", 0)) && !record.waits_for(&question("d", 1)));
        record.answer(answered.clone(), json!({}));
        assert!(!record.waits_for(&answered) && record.phase == Phase::Waiting);
        record.answer(question("c", 1), json!({}));
        assert_eq!(record.phase, Phase::Ready);
        assert!(QuestionId::parse(&request("5")).is_none() && QuestionId::parse(&request("\"get/1\"")).is_none());
    }
}
