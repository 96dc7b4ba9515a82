//! Work on many threads whose results come out in the order of their inputs.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{iter, mem, thread};

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
        results: Mutex::new(Results {
            early: BTreeMap::new(),
            turn: 0,
            ahead: 0,
            blocked: 0,
            is_consuming: false,
            ended: false,
            broken: false,
        }),
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

/// A thread whose inputs cost little takes several at once: it asks for the lock less often, and seldom waits for another.
const MOST_AT_ONCE: usize = 16;
/// What several inputs may cost together. A result waits no longer for those after it.
const SHORT: Duration = Duration::from_micros(500);

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
    /// Is nothing more to be handed on?
    broken: bool,
}

impl<I, T, N: FnMut() -> Option<I>, C: FnMut(T) -> ControlFlow<()>> Work<N, C, T> {
    fn run(&self, mut work: impl FnMut(I) -> T) {
        let _end = EndOnDrop(self);
        let mut at_once = 1;
        while let Some((mut first, inputs)) = self.take(at_once) {
            let (mut done, mut begun) = (Vec::with_capacity(inputs.len()), Instant::now());
            at_once = (2 * at_once).min(MOST_AT_ONCE);
            for input in inputs {
                done.push(work(input));
                if begun.elapsed() > SHORT {
                    let next = first + done.len();
                    if self.hand_on(first, mem::take(&mut done)).is_break() {
                        return;
                    }
                    (at_once, first, begun) = (1, next, Instant::now());
                }
            }
            if self.hand_on(first, done).is_break() {
                return;
            }
        }
    }

    /// So many inputs, or fewer, and the number of the first. A poisoned lock means that another thread has panicked: nothing
    /// more is to be done.
    fn take(&self, at_once: usize) -> Option<(usize, Vec<I>)> {
        let mut results = self.results.lock().ok()?;
        while !results.ended && results.ahead >= self.read_ahead {
            results.blocked += 1;
            results = self.room.wait(results).ok()?;
            results.blocked -= 1;
        }
        if results.ended {
            return None;
        }
        let at_once = at_once.min(self.read_ahead - results.ahead);
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

    /// Breaks when nothing more is wanted.
    fn hand_on(&self, first: usize, done: Vec<T>) -> ControlFlow<()> {
        const OVER: ControlFlow<()> = ControlFlow::Break(());
        let Ok(mut results) = self.results.lock() else { return OVER };
        if !done.is_empty() {
            results.early.insert(first, done);
        }
        while !results.is_consuming
            && !results.broken
            && let Some(done) = results.next()
        {
            let Ok(mut consume) = self.consume.lock() else { return OVER };
            results.is_consuming = true;
            drop(results);
            let handed_on = done.len();
            let is_broken = done.into_iter().any(|result| consume(result).is_break());
            let Ok(after) = self.results.lock() else { return OVER };
            results = after;
            results.is_consuming = false;
            results.ahead -= handed_on;
            results.broken = is_broken;
            results.ended |= is_broken;
            if results.blocked > 0 {
                self.room.notify_all();
            }
        }
        if results.broken { OVER } else { ControlFlow::Continue(()) }
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

    /// After many that cost nothing, several are taken at once: those that cost much are handed on one by one all the same, and
    /// are not all one thread's.
    #[test]
    fn inputs_that_cost_much_do_not_wait_for_each_other() {
        const CHEAP: usize = 2_000;
        for threads in [1, 4] {
            let (worked, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let mut next = 0;
            let work = |n: usize| {
                if n >= CHEAP {
                    thread::sleep(Duration::from_millis(20));
                    worked.fetch_add(1, Ordering::Relaxed);
                }
                n
            };
            let consume = |n: usize| {
                if n < CHEAP {
                    return ControlFlow::Continue(());
                }
                most.fetch_max(worked.load(Ordering::Relaxed), Ordering::Relaxed);
                ControlFlow::Break(())
            };
            let inputs = || {
                next += 1;
                Some(next - 1)
            };
            in_order(threads, 128, inputs, || work, consume);
            assert!((1..=3 * threads).contains(&most.into_inner()), "{threads} threads");
            assert!(worked.into_inner() <= 6 * threads, "{threads} threads");
        }
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
