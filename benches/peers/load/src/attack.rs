//! What is done to a server beside the load that is measured, in the same thread: a second generator would disturb the
//! measurement more than the server.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::answer::Answer;

/// Tokens of an attack's connections begin here.
pub(crate) const FIRST_TOKEN: usize = 1 << 20;
/// Steps of an attack that are made up for at once, when the loop was late.
const MAX_STEPS: u64 = 64;

/// What each step does with the next connection.
enum Step {
    /// Nothing: connections are held.
    Hold,
    /// Opens it anew.
    Reconnect,
    /// Sends this once, and one byte more at each step.
    Drip(Vec<u8>),
    /// Sends the first once, and the second again and again.
    Pour(Vec<u8>, Vec<u8>),
    /// Sends the next of these, and reads the answer.
    Request(Vec<Vec<u8>>),
}

pub(crate) struct Attack {
    server: SocketAddr,
    step: Step,
    /// Steps a second.
    rate: f64,
    hands: Vec<Hand>,
    begun: Instant,
    steps: u64,
    closed: u64,
    statuses: BTreeMap<u16, u64>,
    scratch: Vec<u8>,
}

#[derive(Default)]
struct Hand {
    stream: Option<TcpStream>,
    /// Has the first part been sent?
    started: bool,
    /// How much of the part that is poured has been taken.
    poured: usize,
    /// Is an answer awaited?
    waits: bool,
    received: Vec<u8>,
}

impl Attack {
    /// `hold|reconnect|drip|pour|request CONNECTIONS STEPS-A-SECOND [FILE]`; parts in the file end with a NUL.
    pub(crate) fn from_args(server: SocketAddr, arguments: &[String]) -> io::Result<Option<Self>> {
        let [kind, connections, rate, file @ ..] = arguments else { return Ok(None) };
        let parts = match file.first() {
            Some(file) => {
                std::fs::read(file)?.split_inclusive(|&byte| byte == 0).map(|part| part[..part.len() - 1].to_vec()).collect()
            }
            None => Vec::new(),
        };
        let step = match (kind.as_str(), parts.as_slice()) {
            ("hold", []) => Step::Hold,
            ("reconnect", []) => Step::Reconnect,
            ("drip", [start]) => Step::Drip(start.clone()),
            ("pour", [start, more]) => Step::Pour(start.clone(), more.clone()),
            ("request", [_, ..]) => Step::Request(parts),
            _ => return Err(io::Error::other(format!("no such attack: {kind} with {} parts", parts.len()))),
        };
        let connections: usize = connections.parse().map_err(io::Error::other)?;
        let hands = std::iter::repeat_with(Hand::default).take(connections).collect();
        let rate = rate.parse().map_err(io::Error::other)?;
        let (begun, statuses, scratch) = (Instant::now(), BTreeMap::new(), vec![0; 64 * 1024]);
        Ok(Some(Self { server, step, rate, hands, begun, steps: 0, closed: 0, statuses, scratch }))
    }

    /// Opens all connections; the first step is due now.
    pub(crate) fn begin(&mut self, registry: &Registry) -> io::Result<()> {
        for number in 0..self.hands.len() {
            // Blocking, so that the server's backlog is not overrun.
            let stream = std::net::TcpStream::connect(self.server)?;
            stream.set_nonblocking(true)?;
            self.take(number, TcpStream::from_std(stream), registry)?;
        }
        self.begun = Instant::now();
        Ok(())
    }

    /// Does what is due.
    pub(crate) fn go_on(&mut self, registry: &Registry) -> io::Result<()> {
        let due = (self.begun.elapsed().as_secs_f64() * self.rate) as u64;
        for _ in 0..MAX_STEPS.min(due.saturating_sub(self.steps)) {
            let number = (self.steps % self.hands.len() as u64) as usize;
            self.steps += 1;
            self.do_step(number, registry)?;
        }
        Ok(())
    }

    fn do_step(&mut self, number: usize, registry: &Registry) -> io::Result<()> {
        if self.hands[number].stream.is_none() || matches!(self.step, Step::Reconnect) {
            let stream = TcpStream::connect(self.server)?;
            return self.take(number, stream, registry);
        }
        let steps = self.steps as usize;
        let hand = &mut self.hands[number];
        let sent = match &self.step {
            Step::Hold | Step::Reconnect => Ok(0),
            Step::Drip(start) | Step::Pour(start, _) if !hand.started => hand.send(start),
            Step::Drip(_) => hand.send(b"x"),
            Step::Pour(_, more) => {
                hand.send(&more[hand.poured..]).inspect(|sent| hand.poured = (hand.poured + sent) % more.len())
            }
            Step::Request(_) if hand.waits => Ok(0),
            Step::Request(requests) => {
                hand.waits = true;
                hand.send(&requests[steps % requests.len()])
            }
        };
        if sent.is_err() {
            self.receive(number);
            self.hands[number] = Hand::default();
        }
        Ok(())
    }

    /// Reads what has come for the connection of this token.
    pub(crate) fn on_event(&mut self, token: Token) {
        self.receive(token.0 - FIRST_TOKEN);
    }

    fn receive(&mut self, number: usize) {
        let hand = &mut self.hands[number];
        while let Some(stream) = &mut hand.stream {
            match stream.read(&mut self.scratch) {
                Ok(read) if read > 0 => hand.received.extend_from_slice(&self.scratch[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Ok(_) | Err(_) => {
                    self.closed += 1;
                    hand.stream = None;
                }
            }
        }
        if let Some(answer) = Answer::parse(&hand.received) {
            *self.statuses.entry(answer.status).or_default() += 1;
            hand.received.clear();
            hand.waits = false;
        }
    }

    fn take(&mut self, number: usize, mut stream: TcpStream, registry: &Registry) -> io::Result<()> {
        registry.register(&mut stream, Token(FIRST_TOKEN + number), Interest::READABLE)?;
        self.hands[number] = Hand { stream: Some(stream), ..Hand::default() };
        Ok(())
    }

    /// What it has done, as the rest of a JSON object.
    pub(crate) fn report(&self, took: Duration) -> String {
        let statuses: Vec<_> = self.statuses.iter().map(|(status, count)| format!(r#""{status}": {count}"#)).collect();
        let (steps, closed, statuses) = (self.steps as f64 / took.as_secs_f64(), self.closed, statuses.join(", "));
        format!(r#", "steps_a_second": {steps:.0}, "closed": {closed}, "statuses": {{{statuses}}}"#)
    }
}

impl Hand {
    /// How much was taken of it.
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(stream) = &mut self.stream else { return Ok(0) };
        match stream.write(bytes) {
            Ok(sent) => {
                self.started = true;
                Ok(sent)
            }
            // Not yet connected, or the server takes no more at the moment.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => Ok(0),
            Err(error) => Err(error),
        }
    }
}
