//! Loads a server over HTTP/1.1 keep-alive connections and compares each answer, byte for byte, with the one expected:
//! `load ADDRESS:PORT REQUEST-FILE BODY-FILE CONNECTIONS SECONDS [RATE [ATTACK]]`.
//!
//! Without RATE each connection sends its next request when it has its answer (a closed loop: how much can the server do).
//! With RATE requests are due at fixed times whatever the server does, and a request's latency counts from when it was due
//! (an open loop: no time that a slow server makes others wait is left out). With 0 SECONDS each connection makes one
//! request and is then held idle until stdin ends.
//!
//! With an ATTACK ([`attack::Attack::from_args`]) the server has to bear that, too.
//!
//! One line of JSON on stdout says what happened. One thread; no more than a few system calls a request, so that it is not
//! the slower side.

mod answer;
mod attack;

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use answer::Answer;
use attack::{Attack, FIRST_TOKEN};

/// Connections that are being opened at once: fewer than any server's backlog.
const OPENING_AT_ONCE: usize = 100;
/// How long to wait for answers that are under way at the end.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

struct Options {
    server: SocketAddr,
    request: Vec<u8>,
    body: Vec<u8>,
    connections: usize,
    duration: Duration,
    rate: Option<f64>,
    attack: Option<Attack>,
}

struct Connection {
    stream: TcpStream,
    /// What has come of the answer, when it comes in parts.
    received: Vec<u8>,
    /// When the request that is under way was due.
    due: Option<Instant>,
}

struct Load {
    options: Options,
    poll: Poll,
    connections: Vec<Connection>,
    scratch: Vec<u8>,
    /// Microseconds of each good answer.
    latencies: Vec<u32>,
    failed: u64,
}

fn main() -> io::Result<()> {
    let options = Options::from_args()?;
    let mut load = Load::open(options)?;
    let (duration, rate) = (load.options.duration, load.options.rate);
    if let Some(attack) = &mut load.options.attack {
        attack.begin(load.poll.registry())?;
    }
    let start = Instant::now();
    match rate {
        _ if duration.is_zero() => load.each_once()?,
        None => load.closed_loop(start + duration)?,
        Some(rate) => load.open_loop(start, rate)?,
    }
    load.report(start.elapsed());
    if duration.is_zero() {
        io::stdout().flush()?;
        io::copy(&mut io::stdin(), &mut io::sink())?;
    }
    Ok(())
}

impl Options {
    fn from_args() -> io::Result<Self> {
        let arguments: Vec<_> = std::env::args().skip(1).collect();
        let [server, request, body, connections, seconds, rate @ ..] = arguments.as_slice() else {
            return Err(io::Error::other("usage: ADDRESS:PORT REQUEST-FILE BODY-FILE CONNECTIONS SECONDS [RATE [ATTACK]]"));
        };
        let server = server.parse().map_err(io::Error::other)?;
        Ok(Self {
            server,
            attack: Attack::from_args(server, rate.get(1..).unwrap_or_default())?,
            request: std::fs::read(request)?,
            body: std::fs::read(body)?,
            connections: connections.parse().map_err(io::Error::other)?,
            duration: Duration::from_secs_f64(seconds.parse().map_err(io::Error::other)?),
            rate: rate.first().map(|rate| rate.parse()).transpose().map_err(io::Error::other)?,
        })
    }
}

impl Load {
    /// Opens all connections.
    fn open(options: Options) -> io::Result<Self> {
        let mut load = Self {
            poll: Poll::new()?,
            connections: Vec::with_capacity(options.connections),
            scratch: vec![0; 256 * 1024],
            latencies: Vec::new(),
            failed: 0,
            options,
        };
        let mut events = Events::with_capacity(OPENING_AT_ONCE);
        while load.connections.len() < load.options.connections {
            let wanted = OPENING_AT_ONCE.min(load.options.connections - load.connections.len());
            for _ in 0..wanted {
                load.connections.push(Connection {
                    stream: load.connect(load.connections.len())?,
                    received: Vec::new(),
                    due: None,
                });
            }
            let mut opened = 0;
            while opened < wanted {
                load.poll.poll(&mut events, None)?;
                for event in &events {
                    let stream = &load.connections[event.token().0].stream;
                    stream.take_error()?.map_or(Ok(()), Err)?;
                    opened += usize::from(event.is_writable());
                }
            }
        }
        Ok(load)
    }

    fn connect(&self, number: usize) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(self.options.server)?;
        self.poll.registry().register(&mut stream, Token(number), Interest::READABLE | Interest::WRITABLE)?;
        Ok(stream)
    }

    fn each_once(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(OPENING_AT_ONCE);
        for first in (0..self.connections.len()).step_by(OPENING_AT_ONCE) {
            let last = (first + OPENING_AT_ONCE).min(self.connections.len());
            for number in first..last {
                self.send(number, Instant::now())?;
            }
            while self.connections[first..last].iter().any(|connection| connection.due.is_some()) {
                self.poll.poll(&mut events, None)?;
                for event in &events {
                    self.receive(event.token().0)?;
                }
            }
        }
        Ok(())
    }

    fn closed_loop(&mut self, end: Instant) -> io::Result<()> {
        let mut events = Events::with_capacity(1_024);
        for number in 0..self.connections.len() {
            self.send(number, Instant::now())?;
        }
        let mut under_way = self.connections.len();
        while under_way > 0 && Instant::now() < end + LAST_ANSWERS {
            // Spins: who sleeps has to be woken, and a server would pay for that with the answers it sends, the slower the more.
            self.poll.poll(&mut events, Some(Duration::ZERO))?;
            for event in &events {
                if event.is_readable() && self.receive(event.token().0)? {
                    let now = Instant::now();
                    if now < end {
                        self.send(event.token().0, now)?;
                    } else {
                        under_way -= 1;
                    }
                }
            }
        }
        self.failed += under_way as u64;
        Ok(())
    }

    fn open_loop(&mut self, start: Instant, rate: f64) -> io::Result<()> {
        let end = start + self.options.duration;
        let mut events = Events::with_capacity(1_024);
        let mut free: VecDeque<usize> = (0..self.connections.len()).collect();
        let due = |number: u64| start + Duration::from_secs_f64(number as f64 / rate);
        let mut sent = 0;
        loop {
            let now = Instant::now();
            while due(sent) <= now.min(end) {
                let Some(number) = free.pop_front() else { break };
                self.send(number, due(sent))?;
                sent += 1;
            }
            let all_sent = due(sent) > end;
            if (all_sent && free.len() == self.connections.len()) || now > end + LAST_ANSWERS {
                break;
            }
            if let Some(attack) = &mut self.options.attack {
                attack.go_on(self.poll.registry())?;
            }
            // Timers tick in milliseconds, requests are due more often: so this spins.
            self.poll.poll(&mut events, Some(Duration::ZERO))?;
            for event in &events {
                if let Some(attack) = self.options.attack.as_mut().filter(|_| event.token().0 >= FIRST_TOKEN) {
                    attack.on_event(event.token());
                } else if event.is_readable() && self.receive(event.token().0)? {
                    free.push_back(event.token().0);
                }
            }
        }
        self.failed += (self.connections.len() - free.len()) as u64;
        Ok(())
    }

    fn send(&mut self, number: usize, due: Instant) -> io::Result<()> {
        let connection = &mut self.connections[number];
        connection.due = Some(due);
        match connection.stream.write(&self.options.request) {
            Ok(written) if written == self.options.request.len() => Ok(()),
            // The server has closed the connection: seen when it is read.
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => Ok(()),
            Ok(_) => Err(io::Error::other("the request does not fit into a socket's buffer")),
            Err(error) => Err(error),
        }
    }

    /// Reads what has come; true when the answer is whole, or will never be.
    fn receive(&mut self, number: usize) -> io::Result<bool> {
        loop {
            let connection = &mut self.connections[number];
            let Some(due) = connection.due else { return Ok(false) };
            match connection.stream.read(&mut self.scratch) {
                Ok(read) if read > 0 => {
                    let answer = if connection.received.is_empty() {
                        Answer::parse(&self.scratch[..read])
                    } else {
                        connection.received.extend_from_slice(&self.scratch[..read]);
                        Answer::parse(&connection.received)
                    };
                    let Some(answer) = answer else {
                        if connection.received.is_empty() {
                            connection.received.extend_from_slice(&self.scratch[..read]);
                        }
                        continue;
                    };
                    if answer.status == 200 && *answer.body == *self.options.body {
                        self.latencies.push(u32::try_from(due.elapsed().as_micros()).unwrap_or(u32::MAX));
                    } else {
                        self.failed += 1;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Ok(_) | Err(_) => {
                    self.failed += 1;
                    self.connections[number].stream = self.connect(number)?;
                }
            }
            let connection = &mut self.connections[number];
            connection.received.clear();
            connection.due = None;
            return Ok(true);
        }
    }

    fn report(&mut self, took: Duration) {
        self.latencies.sort_unstable();
        let at = |share: f64| {
            let last = self.latencies.len().saturating_sub(1);
            self.latencies.get((last as f64 * share).round() as usize).copied().unwrap_or(0)
        };
        let attack = self.options.attack.as_ref().map(|attack| attack.report(took)).unwrap_or_default();
        println!(
            r#"{{"good": {}, "failed": {}, "seconds": {:.6}, "p50": {}, "p90": {}, "p99": {}, "p999": {}, "max": {}{attack}}}"#,
            self.latencies.len(),
            self.failed,
            took.as_secs_f64(),
            at(0.5),
            at(0.9),
            at(0.99),
            at(0.999),
            at(1.0)
        );
    }
}
