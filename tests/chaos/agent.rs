//! A client of a handshake revision for which nothing is certain: any request may fail, and any stream may break.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::support::client::LEGACY;

/// How long one request may take until there is a status, or the next part of a body; nothing may hang for longer.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);
/// Before a request that failed is made again.
pub(crate) const PAUSE: Duration = Duration::from_millis(50);

pub(crate) struct Agent {
    http: reqwest::Client,
    url: String,
    token: String,
    pub(crate) session: String,
    next_id: AtomicU64,
}

/// Why a request has no answer that one could work with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Trouble {
    /// The connection broke, or the balancer lost the replica (502, 504).
    Broken,
    /// The server says that it cannot now: 503, or an error that says to repeat the request.
    Away(String),
    /// The server says that what the request names is not there (any more).
    Lost(String),
}

/// One stream: on its first connection, or on any that resumed it.
pub(crate) struct Stream {
    response: Response,
    buffer: String,
    /// The id of the last event of all connections.
    pub(crate) last: Option<String>,
    /// Did the last connection break off, rather than end as the server wanted?
    pub(crate) broken: bool,
    /// The ids of all events that carried a message.
    seen: HashSet<String>,
}

/// What a stream gives next.
#[derive(Debug)]
pub(crate) enum Next {
    Message(Value),
    /// An event without content, which says where the stream is.
    Place,
    /// The connection ended, as the server wanted or not.
    End,
}

impl Agent {
    /// Shakes hands, once; fails where no session was given.
    pub(crate) async fn connect(url: &str, token: &str) -> Result<Self, Trouble> {
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).no_proxy().build().expect("a client");
        let (url, token) = (format!("{url}/mcp"), token.to_owned());
        let mut agent = Self { http, url, token, session: String::new(), next_id: AtomicU64::new(0) };
        let params = json!({
            "protocolVersion": LEGACY, "capabilities": {"elicitation": {}}, "clientInfo": {"name": "agent", "version": "1"},
        });
        let response = agent.post(&agent.request("initialize", params)).await?;
        let session = response.headers().get("mcp-session-id").map(|id| id.to_str().expect("ASCII").to_owned());
        let answer = json_of(response).await?;
        assert_eq!(answer["result"]["protocolVersion"], LEGACY, "{answer}");
        agent.session = session.ok_or_else(|| Trouble::Away("no session was given".to_owned()))?;
        agent.post(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await?;
        Ok(agent)
    }

    /// Shakes hands, however often it takes.
    pub(crate) async fn connect_at_last(url: &str, token: &str) -> Self {
        loop {
            match Self::connect(url, token).await {
                Ok(agent) => return agent,
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    pub(crate) fn request(&self, method: &str, params: Value) -> Value {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
    }

    /// Sends a request that is answered at once, and gives its result.
    pub(crate) async fn ask(&self, method: &str, params: Value) -> Result<Value, Trouble> {
        let answer = json_of(self.post(&self.request(method, params)).await?).await?;
        trouble_in(&answer).map_or_else(|| Ok(answer["result"].clone()), Err)
    }

    /// The same, however often it takes; what is lost stays lost.
    pub(crate) async fn ask_at_last(&self, method: &str, params: Value) -> Value {
        loop {
            match self.ask(method, params.clone()).await {
                Ok(result) => return result,
                Err(Trouble::Lost(said)) => panic!("{method}: {said}"),
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    /// Posts a message, and gives an answer that is none of trouble's.
    pub(crate) async fn post(&self, message: &Value) -> Result<Response, Trouble> {
        let builder = self.builder(Method::POST).header(CONTENT_TYPE, "application/json");
        send(builder.header(ACCEPT, "application/json, text/event-stream").body(message.to_string())).await
    }

    /// Answers a request of the server's.
    pub(crate) async fn answer(&self, id: &Value, result: &Value) -> Result<(), Trouble> {
        let response = self.post(&json!({"jsonrpc": "2.0", "id": id, "result": result})).await?;
        assert_eq!(response.status(), 202);
        Ok(())
    }

    /// Opens the stream that belongs to no call, and waits until its first event says where it is.
    pub(crate) async fn listen(&self) -> Result<Stream, Trouble> {
        let mut stream = Stream::new(self.get(None).await?);
        match stream.next(LIMIT).await? {
            Next::Place => Ok(stream),
            Next::End => Err(Trouble::Broken),
            Next::Message(message) => panic!("the first event primes: {message}"),
        }
    }

    /// Opens a stream again from after the last event of it.
    pub(crate) async fn resume(&self, stream: &mut Stream) -> Result<(), Trouble> {
        stream.response = self.get(stream.last.as_deref()).await?;
        stream.buffer.clear();
        Ok(())
    }

    async fn get(&self, last: Option<&str>) -> Result<Response, Trouble> {
        let mut builder = self.builder(Method::GET).header(ACCEPT, "text/event-stream");
        if let Some(last) = last {
            builder = builder.header("last-event-id", last);
        }
        send(builder).await
    }

    fn builder(&self, method: Method) -> reqwest::RequestBuilder {
        let builder = self.http.request(method, &self.url).bearer_auth(&self.token);
        if self.session.is_empty() {
            return builder;
        }
        builder.header("mcp-session-id", &self.session).header("mcp-protocol-version", LEGACY)
    }
}

async fn send(builder: reqwest::RequestBuilder) -> Result<Response, Trouble> {
    let response = timeout(LIMIT, builder.send()).await.expect("an answer in time").map_err(|_| Trouble::Broken)?;
    match response.status().as_u16() {
        200 | 202 => Ok(response),
        502 | 504 => Err(Trouble::Broken),
        503 => Err(Trouble::Away(timeout(LIMIT, response.text()).await.expect("in time").map_err(|_| Trouble::Broken)?)),
        status @ (400 | 404) => {
            let text = timeout(LIMIT, response.text()).await.expect("in time").map_err(|_| Trouble::Broken)?;
            Err(Trouble::Lost(format!("{status}: {text}")))
        }
        status => panic!("{status}: {:?}", response.text().await),
    }
}

/// Is this answer an error that says to repeat the request?
pub(crate) fn trouble_in(answer: &Value) -> Option<Trouble> {
    let error = answer.get("error")?;
    let message = error["message"].as_str().expect("an error says why");
    assert!(error["code"] == -32603 && (message.contains("repeat") || message.contains("again")), "{answer}");
    Some(Trouble::Away(message.to_owned()))
}

async fn json_of(response: Response) -> Result<Value, Trouble> {
    let text = timeout(LIMIT, response.text()).await.expect("in time").map_err(|_| Trouble::Broken)?;
    Ok(serde_json::from_str(&text).expect("JSON"))
}

impl Stream {
    pub(crate) fn new(response: Response) -> Self {
        assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
        Self { response, buffer: String::new(), last: None, broken: false, seen: HashSet::new() }
    }

    /// The next event; `Broken` when nothing comes for so long, not even a sign of life. A message that has been there
    /// before is a failure of the test.
    pub(crate) async fn next(&mut self, limit: Duration) -> Result<Next, Trouble> {
        loop {
            while let Some(end) = self.buffer.find("\n\n") {
                let text: String = self.buffer.drain(..end + 2).collect();
                let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name).map(str::trim));
                let data = field("data:").filter(|data| !data.is_empty());
                if let Some(id) = field("id:") {
                    self.last = Some(id.to_owned());
                    assert!(data.is_none() || self.seen.insert(id.to_owned()), "event {id} came twice: {text}");
                }
                match data {
                    Some(data) => return Ok(Next::Message(serde_json::from_str(data).expect("JSON"))),
                    None if field("id:").is_some() => return Ok(Next::Place),
                    None => {}
                }
            }
            match timeout(limit, self.response.chunk()).await {
                Err(_) => return Err(Trouble::Broken),
                Ok(Ok(Some(chunk))) => self.buffer.push_str(std::str::from_utf8(&chunk).expect("UTF-8")),
                Ok(ended) => {
                    self.broken = ended.is_err();
                    return Ok(Next::End);
                }
            }
        }
    }
}
