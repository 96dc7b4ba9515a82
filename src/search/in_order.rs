//! Work on many threads whose results come out in the order of their inputs.

use std::collections::BTreeMap;
use std::iter;
use std::ops::ControlFlow;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

/// Takes inputs from `next`, works on them on `threads` threads, the calling one among them, and hands the results to
/// `consume` in the order of the inputs. `worker` makes what one thread works with. At most `read_ahead` inputs are taken
/// before their turn, so that stopping early (`consume` breaks) wastes little and few results wait for an earlier one.
/// Returns when all threads have ended; a panic in any of them goes on in the caller.
pub fn in_order<I, T, F>(
    threads: usize,
    read_ahead: usize,
    next: impl FnMut() -> Option<I> + Send,
    worker: impl Fn() -> F + Sync,
    consume: impl FnMut(T) -> ControlFlow<()> + Send,
) where
    T: Send,
    F: FnMut(I) -> T,
{
    let work = Work {
        inputs: Mutex::new(Inputs { next, taken: 0 }),
        results: Mutex::new(Results { early: BTreeMap::new(), turn: 0, ahead: 0, blocked: 0, is_consuming: false, ended: false }),
        consume: Mutex::new(consume),
        room: Condvar::new(),
        read_ahead: read_ahead.max(1),
    };
    thread::scope(|scope| {
        let helper = || thread::Builder::new().name("search".to_owned()).spawn_scoped(scope, || work.run(worker()));
        // Where no thread can be started, the same results come later.
        let helpers: Vec<_> = (1..threads).map_while(|_| helper().ok()).collect();
        work.run(worker());
        for helper in helpers {
            if let Err(panic) = helper.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
}

/// A thread that takes several inputs at once asks for the lock less often, and what one input costs more than the next evens
/// out, so that threads seldom wait for each other. At the start it takes one: what is taken may not be needed.
const MOST_AT_ONCE: usize = 16;
const TURNS_FOR_ONE_MORE: usize = 16;

/// What the threads share. Whoever finishes the result whose turn it is hands it on, and those that waited for it: no
/// thread is woken for a result, and none waits while another hands results on.
struct Work<N, C, T> {
    inputs: Mutex<Inputs<N>>,
    results: Mutex<Results<T>>,
    /// Locked by the thread that is consuming; `results` are not, meanwhile.
    consume: Mutex<C>,
    room: Condvar,
    read_ahead: usize,
}

struct Inputs<N> {
    next: N,
    taken: usize,
}

struct Results<T> {
    /// Results whose turn has not come, by the number of the first.
    early: BTreeMap<usize, Vec<T>>,
    turn: usize,
    /// How many inputs have been taken whose results have not been handed on.
    ahead: usize,
    /// How many threads wait for room.
    blocked: usize,
    /// Is a thread handing results on?
    is_consuming: bool,
    /// Is nothing more to be taken?
    ended: bool,
}

impl<I, T, N: FnMut() -> Option<I>, C: FnMut(T) -> ControlFlow<()>> Work<N, C, T> {
    fn run(&self, mut work: impl FnMut(I) -> T) {
        let _end = EndOnDrop(self);
        while let Some((first, inputs)) = self.take() {
            self.hand_on(first, inputs.into_iter().map(&mut work).collect());
        }
    }

    /// The next inputs and the number of the first. A poisoned lock means that another thread has panicked: nothing more is to
    /// be done.
    fn take(&self) -> Option<(usize, Vec<I>)> {
        let mut results = self.results.lock().ok()?;
        while !results.ended && results.ahead >= self.read_ahead {
            results.blocked += 1;
            results = self.room.wait(results).ok()?;
            results.blocked -= 1;
        }
        if results.ended {
            return None;
        }
        let at_once = (1 + results.turn / TURNS_FOR_ONE_MORE).min(MOST_AT_ONCE).min(self.read_ahead - results.ahead);
        results.ahead += at_once;
        drop(results);
        let mut inputs = self.inputs.lock().ok()?;
        let first = inputs.taken;
        let taken: Vec<_> = iter::from_fn(&mut inputs.next).take(at_once).collect();
        inputs.taken += taken.len();
        drop(inputs);
        if taken.len() < at_once {
            self.results.lock().ok()?.ended = true;
        }
        (!taken.is_empty()).then_some((first, taken))
    }

    fn hand_on(&self, first: usize, done: Vec<T>) {
        let Ok(mut results) = self.results.lock() else { return };
        results.early.insert(first, done);
        if results.is_consuming {
            return;
        }
        while let Some(done) = results.next() {
            let Ok(mut consume) = self.consume.lock() else { return };
            results.is_consuming = true;
            drop(results);
            let handed_on = done.len();
            let is_broken = done.into_iter().any(|result| consume(result).is_break());
            let Ok(after) = self.results.lock() else { return };
            results = after;
            results.ahead -= handed_on;
            results.ended |= is_broken;
            if results.blocked > 0 {
                self.room.notify_all();
            }
            // Nothing more is handed on, by nobody: it stays said that somebody does.
            if is_broken {
                return;
            }
            results.is_consuming = false;
        }
    }
}

impl<T> Results<T> {
    fn next(&mut self) -> Option<Vec<T>> {
        let next = self.early.remove(&self.turn)?;
        self.turn += next.len();
        Some(next)
    }
}

/// A thread leaves when nothing more is to be taken, or by a panic: in both cases nobody may wait for room any longer.
struct EndOnDrop<'a, N, C, T>(&'a Work<N, C, T>);

impl<N, C, T> Drop for EndOnDrop<'_, N, C, T> {
    fn drop(&mut self) {
        self.0.results.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
        self.0.room.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn results_come_in_the_order_of_inputs() {
        for (threads, read_ahead) in [(1, 8), (2, 8), (7, 8), (7, 1), (2, 1), (3, 100)] {
            let mut inputs = 0..500_u64;
            let mut seen = Vec::new();
            let slow_at_times = |n: u64| {
                if n.is_multiple_of(50) {
                    thread::sleep(Duration::from_millis(2));
                }
                n * 2
            };
            in_order(
                threads,
                read_ahead,
                || inputs.next(),
                || slow_at_times,
                |n| {
                    seen.push(n);
                    ControlFlow::Continue(())
                },
            );
            assert_eq!(seen, (0..500).map(|n| n * 2).collect::<Vec<_>>());
        }
    }

    #[test]
    fn stopping_early_wastes_no_more_than_the_read_ahead() {
        let taken = AtomicUsize::new(0);
        let mut seen = 0;
        in_order(
            3,
            10,
            || Some(taken.fetch_add(1, Ordering::Relaxed)),
            || |n| n,
            |_| {
                seen += 1;
                if seen == 20 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            },
        );
        let taken = taken.into_inner();
        assert!((20..=30).contains(&taken), "{taken}");
    }

    #[test]
    fn a_panic_anywhere_ends_the_work_and_goes_on_in_the_caller() {
        let run = |in_next: bool, in_work: bool, in_consume: bool| {
            let mut n = 0;
            catch_unwind(AssertUnwindSafe(|| {
                in_order(
                    4,
                    4,
                    || {
                        n += 1;
                        assert!(!in_next || n < 100, "next");
                        Some(n)
                    },
                    || {
                        |n| {
                            assert!(!in_work || n != 100, "work");
                            n
                        }
                    },
                    |n| {
                        assert!(!in_consume || n != 100, "consume");
                        if n == 1000 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                    },
                );
            }))
        };
        assert!(run(false, false, false).is_ok());
        for which in [(true, false, false), (false, true, false), (false, false, true)] {
            assert!(run(which.0, which.1, which.2).is_err(), "{which:?}");
        }
    }
}
