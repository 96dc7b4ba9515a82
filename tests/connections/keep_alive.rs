//! How long a connection may wait for a request, and how long a request may take to begin.

use std::time::{Duration, Instant};

use pressmark::config::Settings;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::connection::{Connection, Place};
use super::ping;
use super::support::in_process::Server;

/// Much less than a head may take, and more than it takes until a connection counts as idle.
const KEEP_ALIVE: Duration = Duration::from_secs(2);

fn settings() -> Settings {
    Settings { keep_alive: Some("2s".to_owned()), ..Settings::default() }
}

#[tokio::test]
async fn an_idle_connection_is_closed_when_its_time_is_over() {
    let server = Server::start(settings(), |app| app).await;
    for requests in [0, 1] {
        let mut connection = Connection::open(&server).await;
        for id in 0..requests {
            connection.send(ping(&server.client(), id)).await;
            connection.answer().await;
        }
        let begun = Instant::now();
        connection.closes().await;
        let took = begun.elapsed();
        assert!(took >= KEEP_ALIVE - Duration::from_millis(100) && took < KEEP_ALIVE * 15, "{requests}: {took:?}");
    }
    server.stop().await;
}

/// Over TLS a client has to hear of it: a connection that merely breaks off could be an attack (RFC 8446, section 6.1).
#[tokio::test]
async fn over_tls_the_end_is_told() {
    let place = Place::with_tls(settings(), |app| app).await;
    let mut connection = place.connect().await;
    connection.send(ping(&place.server.client(), 1)).await;
    connection.answer().await;
    assert_eq!(connection.socket.read(&mut [0; 16]).await.expect("an orderly end"), 0);
    place.server.stop().await;
}

#[tokio::test]
async fn a_head_that_has_begun_has_its_own_time() {
    let server = Server::start(settings(), |app| app).await;
    let mut rests = Connection::open(&server).await;
    // One rests in the middle, for longer than the connection would be kept while idle.
    let request = ping(&server.client(), 1);
    rests.send(&request[..30]).await;
    tokio::time::sleep(KEEP_ALIVE * 2).await;
    rests.send(&request[30..]).await;
    assert!(rests.answer().await.1.contains("\"id\":1"));

    // Another one sends drop by drop, as it would for ever.
    let mut drips = Connection::open(&server).await;
    let begun = Instant::now();
    drips.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ").await;
    while drips.socket.write_all(b"x").await.is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the server waits for ever");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let took = begun.elapsed();
    assert!(took > Duration::from_secs(10), "slow clients get their time: {took:?}");
    server.stop().await;
}

/// A client of HTTP/2 is told by GOAWAY, and can send what it was about to elsewhere (RFC 9113, section 6.8).
#[tokio::test]
async fn an_idle_connection_of_http2_is_ended_in_good_order() {
    const GOAWAY: u8 = 7;
    let server = Server::start(settings(), |app| app).await;
    let mut connection = Connection::open(&server).await;
    connection.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    let begun = Instant::now();
    loop {
        let mut header = [0; 9];
        let reading = connection.socket.read_exact(&mut header);
        tokio::time::timeout(Duration::from_secs(30), reading).await.expect("in time").expect("a frame");
        if header[3] == GOAWAY {
            break;
        }
        let mut payload = vec![0; usize::from(header[1]) << 8 | usize::from(header[2])];
        connection.socket.read_exact(&mut payload).await.expect("a frame");
    }
    assert!(begun.elapsed() >= KEEP_ALIVE, "{:?}", begun.elapsed());
    drop(connection);
    server.stop().await;
}

/// A client that leaves an answer unread keeps nothing but its own time.
#[tokio::test]
async fn an_answer_that_nobody_reads_does_not_keep_a_connection_of_http2() {
    /// In a window of one byte (RFC 9113, section 6.5.2).
    const SETTINGS: &[u8] = b"\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\x01";
    const REQUEST: &[u8] = b"\0\0\x17\x01\x05\0\0\0\x01\x82\x86\x04\x08/healthz\x01\x09localhost";
    let server = Server::start(settings(), |app| app).await;
    let mut connection = Connection::open(&server).await;
    connection.send([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", SETTINGS, REQUEST].concat()).await;
    let begun = Instant::now();
    let mut came = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(60), connection.socket.read_to_end(&mut came)).await;
    assert!(end.is_ok(), "the connection is kept");
    assert!(came.windows(4).any(|four| four == b"\0\0\x01\0"), "one byte of the answer came: {came:?}");
    assert!(begun.elapsed() >= KEEP_ALIVE, "{:?}", begun.elapsed());
    server.stop().await;
}
