//! Who means harm is held off cheaply: those who mean well do not notice, and memory stays bounded. How their latency fares
//! is measured by `benches/run attacks`, on a machine that does nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet, block_in_place};
use tokio::time::{sleep, timeout};

use crate::support::client::McpClient;
use crate::support::issuer::{AUDIENCE, Issuer};
use crate::support::open_files::allow_open_files;
use crate::support::server::Pressmark;
use crate::support::tokens::{OTHER_RSA, P256, jwks, with};

/// Every answer comes within this time, also on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(30);
/// What a connection may cost that says nothing of use, in bytes of resident memory.
const MAX_EACH: u64 = 32 * 1024;
/// Beside that: what the first requests bring along.
const SLACK: u64 = 24 << 20;

/// A server that takes the tokens of an issuer, and a client who goes on calling whatever happens.
struct Scene {
    server: Arc<Pressmark>,
    issuer: Issuer,
    good: JoinHandle<Vec<Duration>>,
    stop: Arc<AtomicBool>,
    before: u64,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn start(options: &[&str]) -> Self {
        allow_open_files(10_000);
        let issuer = Issuer::start(jwks(&[&P256])).await;
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("hello.txt"), "hello").expect("a file");
        let keys = format!("{}/keys", issuer.url);
        let path = folder.path().to_str().expect("UTF-8");
        let arguments = [path, "--jwt-issuer", &issuer.url, "--jwks-url", &keys, "--jwt-audience", AUDIENCE];
        let server = Arc::new(block_in_place(|| Pressmark::start(&[&arguments, options].concat())));
        let client = McpClient::modern(&server.url(), Some(&P256.sign(&issuer.claims())));
        for _ in 0..20 {
            call(&client).await;
        }
        let stop = Arc::<AtomicBool>::default();
        let good = tokio::spawn(goes_on(client, Arc::clone(&stop)));
        let before = server.resident_bytes();
        Self { server, issuer, good, stop, before, _folder: folder }
    }

    fn address(&self) -> (&'static str, u16) {
        ("127.0.0.1", self.server.port())
    }

    fn token(&self) -> String {
        P256.sign(&self.issuer.claims())
    }

    /// How much memory has come in, in bytes.
    fn grown(&self) -> u64 {
        self.server.resident_bytes().saturating_sub(self.before)
    }

    /// The good client has had a right answer to each of its calls.
    async fn end(self, what: &str) {
        self.stop.store(true, Ordering::Relaxed);
        let grown = self.grown();
        let mut took = self.good.await.expect("no call of the good client failed");
        took.sort_unstable();
        let at = |share: usize| took[(took.len() - 1) * share / 100];
        println!(
            "{what}: {} calls of a good client, p50 {:?}, p99 {:?}, none failed; {} KiB more memory at the end",
            took.len(),
            at(50),
            at(99),
            grown >> 10
        );
        assert!(took.len() > 50, "the good client has hardly called");
    }
}

async fn call(client: &McpClient) -> Duration {
    let begun = Instant::now();
    let reply = timeout(LIMIT, client.call_tool("read_file", json!({"path": "/hello.txt"}))).await.expect("an answer in time");
    assert_eq!(reply.content(0), "hello", "{}", reply.text);
    begun.elapsed()
}

async fn goes_on(client: McpClient, stop: Arc<AtomicBool>) -> Vec<Duration> {
    let mut took = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        took.push(call(&client).await);
        sleep(Duration::from_millis(10)).await;
    }
    took
}

/// What the server says until it closes the connection, and when it did.
async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    // Who is cut off in the middle of sending sees a reset after the answer.
    let _ = timeout(Duration::from_secs(90), stream.read_to_end(&mut said)).await.expect("the connection is closed in time");
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_senders_and_held_connections() {
    const SILENT: usize = 1_000;
    const SLOW_HEADS: usize = 2_000;
    const SLOW_BODIES: usize = 200;
    const RESETS: usize = 2_000;
    let scene = Scene::start(&["--request-timeout", "15s"]).await;
    let address = scene.address();
    let mut silent = Vec::new();
    for _ in 0..SILENT {
        silent.push(TcpStream::connect(address).await.expect("a connection"));
    }
    let mut heads = JoinSet::new();
    for number in 0..SLOW_HEADS {
        // Some could yet become HTTP/2.
        let start = if number % 4 == 0 { "PR" } else { "POST /mcp HTTP/1.1\r\nHost: localhost\r\nX-Slow: " };
        heads.spawn(drip(address, start.to_owned(), number % 4 != 0));
        if number % 100 == 0 {
            sleep(Duration::from_millis(20)).await;
        }
    }
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nContent-Length: 100000\r\n\r\n{{",
        scene.token()
    );
    let mut bodies = JoinSet::new();
    for _ in 0..SLOW_BODIES {
        bodies.spawn(drip(address, head.clone(), true));
    }
    for _ in 0..RESETS {
        drop(TcpStream::connect(address).await.expect("a connection"));
    }
    sleep(Duration::from_secs(5)).await;
    let connections = SILENT + SLOW_HEADS + SLOW_BODIES;
    let grown = scene.grown();
    println!("{connections} connections that say nothing of use: {} KiB, {} bytes each", grown >> 10, grown / connections as u64);
    assert!(grown < SLACK + connections as u64 * MAX_EACH, "{grown} bytes");
    while let Some(body) = bodies.join_next().await {
        let (said, _) = body.expect("it was told");
        assert!(said.starts_with("HTTP/1.1 408"), "{said}");
    }
    let (mut shortest, mut longest) = (Duration::MAX, Duration::ZERO);
    while let Some(head) = heads.join_next().await {
        let (said, lasted) = head.expect("it was closed");
        assert_eq!(said, "", "nothing was asked");
        (shortest, longest) = (shortest.min(lasted), longest.max(lasted));
    }
    println!("heads that came drop by drop were cut off after {shortest:?} to {longest:?}");
    assert!(shortest > Duration::from_secs(10), "a slow client gets its time");
    drop(silent);
    scene.end("slow senders").await;
}

/// Sends one more byte a second until the connection is closed, or says nothing more; what the server said, and after how long.
async fn drip(address: (&'static str, u16), start: String, more: bool) -> (String, Duration) {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let begun = Instant::now();
    stream.write_all(start.as_bytes()).await.expect("sent");
    let (mut reading, mut writing) = stream.split();
    let mut said = Vec::new();
    let dripping = async {
        while more && writing.write_all(b"x").await.is_ok() {
            sleep(Duration::from_secs(1)).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = dripping => {}
        read = timeout(Duration::from_secs(100), reading.read_to_end(&mut said)) => drop(read.expect("closed in time")),
    }
    (String::from_utf8_lossy(&said).into_owned(), begun.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_and_bodies_without_end() {
    const EACH: usize = 50;
    let scene = Scene::start(&[]).await;
    let (address, token) = (scene.address(), scene.token());
    let request = |token: &str, more: &str| {
        format!(
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\n{more}"
        )
    };
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let many: String = (0..200).map(|number| format!("X-{number}: x\r\n")).collect();
    let chunked = "Transfer-Encoding: chunked\r\n\r\n";
    let cases = [
        ("an endless head", request("x", "X-Long: "), "x".repeat(0x10000), "431"),
        ("many fields", request("x", &format!("{many}\r\n")), String::new(), "431"),
        ("an endless body", request(&token, chunked), chunk.clone(), "413"),
        ("an endless body of a stranger", request("x", chunked), chunk, "401"),
        (
            "a body that says that it is too large",
            request(&token, "Content-Length: 5000000\r\n\r\n"),
            "x".repeat(5_000_000),
            "413",
        ),
    ];
    let mut highest = 0;
    for (what, start, more, status) in cases {
        let mut attackers = JoinSet::new();
        for _ in 0..EACH {
            attackers.spawn(pour(address, start.clone(), more.clone()));
        }
        while let Some(said) = attackers.join_next().await {
            let said = said.expect("it was told");
            assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{what}: {said}");
            highest = highest.max(scene.grown());
        }
    }
    println!("at most {} KiB for {EACH} at a time", highest >> 10);
    // A body of those who may call is kept as it comes, up to 4 MiB, in a buffer that doubles as it fills.
    assert!(highest < SLACK + EACH as u64 * (9 << 20), "{highest} bytes");
    scene.end("heads and bodies without end").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_come_byte_by_byte() {
    const BODIES: usize = 20;
    const BYTES: usize = 1_000;
    let scene = Scene::start(&[]).await;
    let (address, token) = (scene.address(), scene.token());
    let mut senders = JoinSet::new();
    for _ in 0..BODIES {
        let head = format!(
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n\r\n",
            BYTES + 1
        );
        senders.spawn(async move {
            let mut stream = TcpStream::connect(address).await.expect("a connection");
            stream.set_nodelay(true).expect("a socket");
            stream.write_all(head.as_bytes()).await.expect("sent");
            for _ in 0..BYTES {
                stream.write_all(b"x").await.expect("the server reads");
                sleep(Duration::from_millis(2)).await;
            }
            stream
        });
    }
    let streams = senders.join_all().await;
    let grown = scene.grown();
    println!("{BODIES} bodies of {BYTES} bytes, one by one: {} KiB", grown >> 10);
    // Each byte could keep a buffer of 8 KiB: more than six times as much.
    assert!(grown < SLACK, "{grown} bytes");
    for mut stream in streams {
        let mut said = vec![0; 12];
        stream.write_all(b"x").await.expect("the server reads");
        timeout(LIMIT, stream.read_exact(&mut said)).await.expect("an answer in time").expect("an answer");
        assert_eq!(said, b"HTTP/1.1 400", "it was read as a whole");
    }
    scene.end("bodies byte by byte").await;
}

/// Sends the second part again and again, 64 MiB of it at most; what the server said.
async fn pour(address: (&'static str, u16), start: String, more: String) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(start.as_bytes()).await.expect("sent");
    let mut left = if more.is_empty() { 0 } else { (64 << 20) / more.len() };
    let (mut reading, mut writing) = stream.split();
    let mut said = vec![0; 4096];
    let pouring = async {
        while left > 0 && writing.write_all(more.as_bytes()).await.is_ok() {
            left -= 1;
        }
        std::future::pending::<usize>().await
    };
    let read = tokio::select! {
        read = pouring => read,
        read = timeout(LIMIT, reading.read(&mut said)) => read.expect("an answer in time").unwrap_or(0),
    };
    String::from_utf8_lossy(&said[..read]).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn made_up_tokens() {
    const ATTACKERS: usize = 20;
    const SECONDS: u64 = 5;
    /// So many in all; a machine that is busy manages fewer.
    const A_SECOND: u64 = 5_000;
    let scene = Scene::start(&[]).await;
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let (good, url) = (scene.token(), format!("{}/mcp", scene.server.url()));
    let (signed, _) = good.rsplit_once('.').expect("a signature");
    let unknown = OTHER_RSA.sign(&scene.issuer.claims());
    let begun = Instant::now();
    let answers = Arc::new([const { AtomicUsize::new(0) }; 4]);
    let mut attackers = JoinSet::new();
    for number in 0..ATTACKERS {
        let (http, url, signed, unknown, answers) =
            (http.clone(), url.clone(), signed.to_owned(), unknown.clone(), Arc::clone(&answers));
        attackers.spawn(async move {
            let mut statuses = BTreeMap::<u16, usize>::new();
            for round in number.. {
                let due = begun + Duration::from_nanos(round as u64 * ATTACKERS as u64 * 1_000_000_000 / A_SECOND);
                if due > begun + Duration::from_secs(SECONDS) || begun.elapsed() > Duration::from_secs(2 * SECONDS) {
                    break;
                }
                tokio::time::sleep_until(due.into()).await;
                let random = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 64]>());
                let token = match round % 4 {
                    0 => format!("{random}.{random}.{random}"),
                    1 | 2 => format!("{signed}.{random}"),
                    _ => unknown.clone(),
                };
                let response = http.post(&url).bearer_auth(token).body("{}").send().await.expect("an answer");
                let status = response.status().as_u16();
                match status {
                    401 => assert!(response.headers().contains_key("www-authenticate")),
                    // Too many that nobody knows; the good client is not among them.
                    503 => assert_eq!(response.headers()["retry-after"], "1"),
                    status => panic!("{status} for a token that was made up"),
                }
                *statuses.entry(status).or_default() += 1;
                answers[round % 4].fetch_add(1, Ordering::Relaxed);
                let _ = response.bytes().await.expect("a body");
            }
            statuses
        });
    }
    // Callers whom nobody has seen before come in meanwhile.
    let mut newcomers = 0;
    while begun.elapsed() < Duration::from_secs(SECONDS) {
        let token = P256.sign(&with(scene.issuer.claims(), json!({"jti": newcomers})));
        let client = McpClient::modern(&scene.server.url(), Some(&token));
        let arguments = json!({"name": "read_file", "arguments": {"path": "/hello.txt"}});
        let reply = timeout(LIMIT, client.request("tools/call", arguments)).await.expect("an answer in time");
        if reply.status == 503 {
            assert_eq!(reply.headers["retry-after"], "1", "{}", reply.text);
            continue;
        }
        assert_eq!(reply.content(0), "hello", "{}", reply.text);
        newcomers += 1;
        sleep(Duration::from_millis(50)).await;
    }
    assert!(newcomers > 5, "only {newcomers} newcomers were let in");
    let mut statuses = BTreeMap::<u16, usize>::new();
    for found in attackers.join_all().await {
        found.into_iter().for_each(|(status, count)| *statuses.entry(status).or_default() += count);
    }
    println!("made-up tokens: {statuses:?} in {:?}; {newcomers} newcomers let in", begun.elapsed());
    assert!(answers.iter().all(|count| count.load(Ordering::Relaxed) > 100), "too few of some kind: {answers:?}");
    assert!(scene.issuer.key_fetches() <= 2, "the keys were fetched {} times", scene.issuer.key_fetches());
    assert!(scene.grown() < SLACK, "{} bytes", scene.grown());
    scene.end("made-up tokens").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit() {
    const MOST: usize = 40;
    const PROBE: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = [folder.path().to_str().expect("UTF-8"), "--dev-token", "a-token", "--max-connections", &MOST.to_string()];
    let server = block_in_place(|| Pressmark::start(&arguments));
    let open = || TcpStream::connect(("127.0.0.1", server.port()));
    let ask = async |stream: &mut TcpStream| {
        let mut said = vec![0; 1024];
        stream.write_all(PROBE).await.expect("sent");
        let read = timeout(LIMIT, stream.read(&mut said)).await.expect("an answer in time").expect("an answer");
        String::from_utf8_lossy(&said[..read]).into_owned()
    };
    let mut held: Vec<TcpStream> = Vec::new();
    while held.len() < MOST {
        let mut stream = open().await.expect("a connection");
        // The probe of its start may still be on its way out.
        match ask(&mut stream).await {
            said if said.starts_with("HTTP/1.1 200 ") => held.push(stream),
            said => assert!(said.starts_with("HTTP/1.1 503 ") && held.len() + 2 > MOST, "{said}"),
        }
    }
    for _ in 0..20 {
        let said = read_to_end(&mut open().await.expect("a connection")).await;
        let (head, body) = said.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("Retry-After: 1\r\n"), "{head}");
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{head}");
        let error: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(error["error"]["code"], 503);
    }
    for stream in &mut held {
        assert!(ask(stream).await.starts_with("HTTP/1.1 200 "), "those who are in are served");
    }
    held.truncate(MOST / 2);
    let begun = Instant::now();
    while !ask(&mut open().await.expect("a connection")).await.starts_with("HTTP/1.1 200 ") {
        assert!(begun.elapsed() < LIMIT, "there is no room again");
    }
}
