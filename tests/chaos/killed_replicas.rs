//! Twenty sessions that listen and ask, while a replica is killed every second: no answer is lost, nothing comes twice, the
//! last state of every file is told of, and every session lives on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::agent::{Agent, LIMIT, Next, PAUSE, Stream, Trouble};
use crate::support::client::McpClient;
use crate::support::redis::RedisServer;
use crate::world::{World, fill, token};

const AGENTS: usize = 20;
const CHAOS: Duration = Duration::from_secs(15);
/// What is told is told within this time, also on a machine that is busy.
const TOLD: Duration = Duration::from_secs(20);
/// A stream is silent for 15 s at most.
const SIGN_OF_LIFE: Duration = Duration::from_secs(25);
const YES: &str = r#"{"action": "accept", "content": {"delete": true}}"#;

/// What has happened, over all agents.
#[derive(Default)]
struct Counts {
    deleted: AtomicUsize,
    /// Calls that another replica ran again, and found nothing left to delete.
    found_gone: AtomicUsize,
    /// Calls whose connection broke before anything came, and which were made again.
    repeated: AtomicUsize,
    /// Streams that broke and were resumed.
    resumed: AtomicUsize,
}

/// What one session has been told of its file.
#[derive(Default)]
struct Told {
    updates: AtomicUsize,
    /// The number that the file held after the last update.
    seen: AtomicUsize,
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_told_twice_while_replicas_are_killed_every_second() {
    let redis = RedisServer::start();
    let mut world = World::serve(&redis.url());
    let url = world.url();
    for agent in 0..AGENTS {
        write(&world, agent, 0);
    }
    let (counts, stop) = (Arc::<Counts>::default(), Arc::<AtomicBool>::default());
    let (mut told, mut deleting, mut listening) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..AGENTS {
        let agent = Arc::new(Agent::connect_at_last(&url, &token(number)).await);
        agent.ask_at_last("resources/subscribe", json!({"uri": format!("file:///{number}.txt")})).await;
        let stream = agent.listen().await.expect("a stream, in peace");
        let heard = Arc::<Told>::default();
        let file = world.at(&format!("{number}.txt"));
        listening.push(tokio::spawn(listen(Arc::clone(&agent), stream, file, Arc::clone(&heard), Arc::clone(&counts))));
        told.push(heard);
        let folder = world.at(&format!("folder-{number}"));
        deleting.push(tokio::spawn(delete_folders(agent, folder, Arc::clone(&counts), Arc::clone(&stop))));
    }

    let writer = Arc::new(McpClient::modern(&url, Some(&token(AGENTS))));
    // What each file holds, how many versions it can have had, and how often a replica was killed.
    let (mut written, mut versions, mut kills) = (vec![0; AGENTS], vec![0; AGENTS], 0);
    let start = Instant::now();
    while start.elapsed() < CHAOS {
        // Some through replicas, while one of them is dying.
        let through: Vec<_> = (0..AGENTS).filter(|number| number % 2 == kills % 2).collect();
        through.iter().for_each(|number| written[*number] += 1);
        let (writer, wanted) = (Arc::clone(&writer), through.iter().map(|number| (*number, written[*number])).collect());
        let writing = tokio::spawn(write_through(writer, wanted));
        sleep(Duration::from_millis(30)).await;
        tokio::task::block_in_place(|| world.replicas[kills % 3].restart());
        kills += 1;
        for (number, attempts) in through.into_iter().zip(writing.await.expect("written")) {
            versions[number] += attempts;
        }
        for number in 0..AGENTS {
            (written[number], versions[number]) = (written[number] + 1, versions[number] + 1);
            write(&world, number, written[number]);
        }
        sleep(Duration::from_millis(700)).await;
    }
    stop.store(true, Ordering::Relaxed);
    for agent in deleting {
        agent.await.expect("every call had one answer");
    }
    until_all_have_seen(&told, &written).await;

    // Now that nobody dies any more one write is one update.
    sleep(Duration::from_secs(1)).await;
    let before: Vec<_> = told.iter().map(|told| told.updates.load(Ordering::Relaxed)).collect();
    for (number, written) in written.iter_mut().enumerate() {
        assert!(before[number] <= versions[number], "{} updates of {} versions", before[number], versions[number]);
        *written += 1;
        write(&world, number, *written);
    }
    until_all_have_seen(&told, &written).await;
    sleep(Duration::from_secs(1)).await;
    for (told, before) in told.iter().zip(&before) {
        assert_eq!(told.updates.load(Ordering::Relaxed), before + 1, "one write, one update");
    }
    for listener in listening {
        assert!(!listener.is_finished(), "every session lives");
        listener.abort();
    }
    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    println!(
        "{AGENTS} sessions, {kills} kills: {} folders deleted after a question, {} of these calls found it done by a replica that \
         died, {} calls were repeated because nothing had come, {} streams were resumed; {} updates of {} versions",
        count(&counts.deleted),
        count(&counts.found_gone),
        count(&counts.repeated),
        count(&counts.resumed),
        before.iter().sum::<usize>() + AGENTS,
        versions.iter().sum::<usize>() + AGENTS,
    );
    assert!(kills >= 6 && count(&counts.deleted) >= AGENTS && count(&counts.resumed) >= kills, "too little has happened");
}

/// Replaces an agent's file in one step, as another program would.
fn write(world: &World, number: usize, version: usize) {
    let new = world.beside("new");
    std::fs::write(&new, version.to_string()).expect("a file");
    std::fs::rename(new, world.at(&format!("{number}.txt"))).expect("a new version");
}

/// Writes files through whichever replica; a write that got no answer is made again. Gives the number of attempts for each.
async fn write_through(client: Arc<McpClient>, files: Vec<(usize, usize)>) -> Vec<usize> {
    let mut attempts = Vec::new();
    for (number, version) in files {
        let arguments = json!({"path": format!("/{number}.txt"), "content": version.to_string(), "overwrite": true});
        let call = json!({"name": "write_file", "arguments": arguments});
        attempts.push(1);
        loop {
            match client.try_request("tools/call", call.clone()).await {
                Ok(reply) if reply.status == 200 => {
                    assert!(!reply.is_tool_error(), "{}", reply.text);
                    break;
                }
                Ok(_) | Err(_) => sleep(PAUSE).await,
            }
            *attempts.last_mut().expect("just pushed") += 1;
        }
    }
    attempts
}

async fn until_all_have_seen(told: &[Arc<Told>], written: &[usize]) {
    let start = Instant::now();
    for (number, (told, written)) in told.iter().zip(written).enumerate() {
        while told.seen.load(Ordering::Relaxed) < *written {
            let seen = told.seen.load(Ordering::Relaxed);
            assert!(start.elapsed() < TOLD, "session {number} has not been told of {written}, {seen} was the last");
            sleep(PAUSE).await;
        }
    }
}

/// Hears of one file, and looks at it each time.
async fn listen(agent: Arc<Agent>, mut stream: Stream, file: PathBuf, told: Arc<Told>, counts: Arc<Counts>) {
    loop {
        match stream.next(SIGN_OF_LIFE).await.expect("a sign of life") {
            Next::Message(message) => {
                // A replica that died may have been the one that knew that the lists had changed; these may come at any time.
                if message["method"] == "notifications/resources/updated" {
                    told.updates.fetch_add(1, Ordering::Relaxed);
                    let text = std::fs::read_to_string(&file).expect("the file is there at any time");
                    told.seen.store(text.parse().expect("a number"), Ordering::Relaxed);
                }
            }
            Next::Place => {}
            Next::End => resume(&agent, &mut stream, &counts).await,
        }
    }
}

async fn resume(agent: &Agent, stream: &mut Stream, counts: &Counts) {
    counts.resumed.fetch_add(1, Ordering::Relaxed);
    loop {
        match agent.resume(stream).await {
            Ok(()) => return,
            Err(Trouble::Lost(said)) => panic!("a stream was lost: {said}"),
            Err(_) => sleep(PAUSE).await,
        }
    }
}

async fn delete_folders(agent: Arc<Agent>, folder: PathBuf, counts: Arc<Counts>, stop: Arc<AtomicBool>) {
    let mut done = 0;
    while done == 0 || !stop.load(Ordering::Relaxed) {
        fill(&folder);
        let result = delete_folder(&agent, &folder, &counts).await;
        assert!(!folder.exists(), "{result}");
        if result["isError"] == true {
            let said = result["content"][0]["text"].as_str().expect("a text");
            assert!(said.starts_with("not_found:"), "{said}");
            counts.found_gone.fetch_add(1, Ordering::Relaxed);
        }
        counts.deleted.fetch_add(1, Ordering::Relaxed);
        done += 1;
        sleep(PAUSE).await;
    }
}

/// One call with its question, to its only response.
async fn delete_folder(agent: &Agent, folder: &Path, counts: &Counts) -> Value {
    let path = format!("/{}", folder.file_name().and_then(|name| name.to_str()).expect("UTF-8"));
    let mut call;
    let mut stream = loop {
        call = agent.request("tools/call", json!({"name": "delete_file", "arguments": {"path": path}}));
        match agent.post(&call).await {
            Ok(response) => {
                let mut stream = Stream::new(response);
                match stream.next(LIMIT).await.expect("an event in time") {
                    Next::Place => break stream,
                    Next::End => {}
                    Next::Message(message) => panic!("the first event primes: {message}"),
                }
            }
            Err(Trouble::Lost(said)) => panic!("a session was lost: {said}"),
            Err(_) => {}
        }
        // Whether the call was begun nobody knows; it has asked nothing that was answered, so nothing was deleted.
        counts.repeated.fetch_add(1, Ordering::Relaxed);
        sleep(PAUSE).await;
    };
    let mut response = None;
    loop {
        match stream.next(SIGN_OF_LIFE).await.expect("a sign of life") {
            Next::Message(message) if message["method"] == "elicitation/create" => {
                assert!(folder.exists() && response.is_none(), "{message}");
                sleep(Duration::from_millis(rand::random_range(0..400))).await;
                let yes = serde_json::from_str(YES).expect("JSON");
                while let Err(trouble) = agent.answer(&message["id"], &yes).await {
                    assert!(!matches!(trouble, Trouble::Lost(_)), "{trouble:?}");
                    sleep(PAUSE).await;
                }
            }
            Next::Message(message) => {
                assert!(message["id"] == call["id"] && response.is_none(), "{message} after {response:?}");
                response = Some(message["result"].clone());
            }
            Next::Place => {}
            Next::End => match response {
                Some(response) => return response,
                None => resume(agent, &mut stream, counts).await,
            },
        }
    }
}
