//! The provider changes the key that it signs with, while agents work.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::front::Front;
use crate::provider::Provider;
use crate::support::client::McpClient;
use crate::support::nginx::Nginx;
use crate::support::server::Pressmark;
use crate::{RESOURCE, challenge, folder, list, serve};

const AGENTS: usize = 20;
/// How many calls an agent makes with one token.
const CALLS: usize = 3;
/// A server asks for keys because of an unknown one no more often.
const PAUSE: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(120);

/// Two replicas, and a provider whose requests are counted.
struct World {
    front: Front,
    provider: Arc<Provider>,
    replicas: [Pressmark; 2],
    _folder: tempfile::TempDir,
}

impl World {
    fn start() -> Self {
        let front = Front::start("");
        let provider = Provider::start_as(&front.url(), front.provider(), RESOURCE);
        let folder = folder();
        let replicas = [(); 2].map(|()| serve(&folder, provider.issuer()));
        front.wait_for("/jwks", 2);
        Self { front, provider: Arc::new(provider), replicas, _folder: folder }
    }
}

/// Agents that call without end, each with tokens that it has taken shortly before.
struct Agents {
    seen: Arc<Seen>,
    work: JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    stop: AtomicBool,
    /// How many tokens each agent has used up.
    tokens: [AtomicUsize; AGENTS],
    keys: Mutex<HashSet<String>>,
    failures: Mutex<Vec<String>>,
}

impl Agents {
    fn start(provider: &Arc<Provider>, url: &str) -> Self {
        let seen = Arc::<Seen>::default();
        let work = (0..AGENTS).map(|agent| work(agent, Arc::clone(&seen), Arc::clone(provider), url.to_owned())).collect();
        Self { seen, work }
    }

    /// Waits until no agent has a token of before, and each has called with one taken since.
    async fn take_new_tokens(&self) {
        let count = || self.seen.tokens.each_ref().map(|tokens| tokens.load(Ordering::SeqCst));
        let before = count();
        let renewed = async {
            while count().iter().zip(before).any(|(now, before)| *now < before + 2) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(LIMIT, renewed).await.expect("every agent takes new tokens");
    }

    /// The names of the keys that tokens were signed with so far.
    fn keys(&self) -> HashSet<String> {
        self.seen.keys.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the work; gives how many tokens were used, and what went wrong.
    async fn stop(self) -> (usize, Vec<String>) {
        self.seen.stop.store(true, Ordering::SeqCst);
        self.work.join_all().await;
        let failures = std::mem::take(&mut *self.seen.failures.lock().unwrap_or_else(PoisonError::into_inner));
        (self.seen.tokens.iter().map(|tokens| tokens.load(Ordering::SeqCst)).sum(), failures)
    }
}

async fn work(agent: usize, seen: Arc<Seen>, provider: Arc<Provider>, url: String) {
    while !seen.stop.load(Ordering::SeqCst) {
        let token = provider.token("files:read").await;
        let header = jsonwebtoken::decode_header(&token).expect("a signed token");
        seen.keys.lock().unwrap_or_else(PoisonError::into_inner).insert(header.kid.expect("a named key"));
        let client = McpClient::modern(&url, Some(&token));
        for _ in 0..CALLS {
            let problem = match client.try_request("tools/call", json!({"name": "list_directory", "arguments": {}})).await {
                Ok(reply) if reply.status == StatusCode::OK && reply.text.contains("hello.txt") => continue,
                Ok(reply) => format!("{} {}", reply.status, reply.text),
                Err(error) => error.to_string(),
            };
            seen.failures.lock().unwrap_or_else(PoisonError::into_inner).push(problem);
        }
        seen.tokens[agent].fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planned_rotation_costs_no_call() {
    let world = World::start();
    let nginx = Nginx::start(&world.replicas.each_ref().map(Pressmark::port));
    let agents = Agents::start(&world.provider, &nginx.url());
    agents.take_new_tokens().await;
    let old = world.provider.keys().await.remove(0);

    let began = Instant::now();
    let published = world.provider.rotate_by_a_step().await;
    let new = published[1].clone();
    assert_eq!(published, [old.clone(), new.clone()]);
    agents.take_new_tokens().await;
    assert_eq!(agents.keys(), HashSet::from([old.clone()]), "a key that is only published signs nothing");

    assert_eq!(world.provider.rotate_by_a_step().await, [new.clone(), old.clone()]);
    agents.take_new_tokens().await;
    assert_eq!(agents.keys(), HashSet::from([old, new.clone()]));

    // Nobody has a token of the old key any more.
    assert_eq!(world.provider.rotate_by_a_step().await, [new]);
    agents.take_new_tokens().await;

    let (tokens, failures) = agents.stop().await;
    assert_eq!(failures, Vec::<String>::new(), "of {} calls", tokens * CALLS);
    assert!(tokens >= 8 * AGENTS, "{tokens} tokens");
    // Each replica has asked when it started, and once when the first token of the new key came.
    assert_once(&world.front, began);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sudden_rotation_is_followed_with_one_question() {
    let world = World::start();
    let urls = world.replicas.each_ref().map(Pressmark::url);
    let take_tokens = || async { join_all((0..AGENTS).map(|_| world.provider.token("files:read"))).await };
    let call_all =
        async |tokens: &[String]| join_all(tokens.iter().flat_map(|token| urls.iter().map(move |url| list(url, token)))).await;
    let old = take_tokens().await;
    assert!(call_all(&old).await.iter().all(|reply| reply.status == StatusCode::OK));

    let began = Instant::now();
    world.provider.rotate_at_once().await;
    let new = take_tokens().await;
    for reply in call_all(&new).await {
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    }
    assert_once(&world.front, began);

    // The key that is gone vouches for nothing any more, and tokens of it do not make the servers ask again and again.
    for reply in call_all(&old).await {
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{}", reply.text);
        assert!(challenge(&reply).contains("error=\"invalid_token\""), "{}", challenge(&reply));
        assert!(reply.text.contains("not signed by a key of the authorization server"), "{}", reply.text);
    }
    assert_once(&world.front, began);

    // Again, at once: known as soon as a server may ask.
    world.provider.rotate_at_once().await;
    let newest = world.provider.token("files:read").await;
    for url in &urls {
        let taken = async {
            while list(url, &newest).await.status != StatusCode::OK {
                sleep(Duration::from_millis(200)).await;
            }
        };
        timeout(LIMIT, taken).await.expect("the newest key is found");
    }
}

/// The two replicas have asked for keys at their start, and since `began` once each in every pause.
fn assert_once(front: &Front, began: Instant) {
    front.wait_for("/jwks", 4);
    let asked = front.count("/jwks");
    let pauses = usize::try_from(began.elapsed().as_secs() / PAUSE.as_secs()).expect("few");
    assert!(asked <= 4 + 2 * pauses, "asked {asked} times in {:?}", began.elapsed());
}
