//! Work on many threads whose results come back in the order of their inputs.

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::sync::mpsc;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

/// Takes inputs from `next`, works on them on `threads` threads, and hands the results to `consume`, on the calling
/// thread, in the order of the inputs. `worker` makes what one thread works with. At most `read_ahead` inputs are taken
/// before their turn, so that stopping early (`consume` breaks) wastes little and results waiting for an earlier one are
/// few. Returns when all threads have ended; a panic in any of them goes on in the caller.
///
/// # Errors
/// When not even one thread can be started.
pub fn in_order<I, T, F>(
    threads: usize,
    read_ahead: usize,
    next: impl FnMut() -> Option<I> + Send,
    worker: impl Fn() -> F + Sync,
    mut consume: impl FnMut(T) -> ControlFlow<()>,
) -> io::Result<()>
where
    T: Send,
    F: FnMut(I) -> T,
{
    let source = Source {
        state: Mutex::new(SourceState { next, taken: 0, used: 0, closed: false }),
        room: Condvar::new(),
        read_ahead: read_ahead.max(1),
    };
    let (sender, results) = mpsc::channel();
    thread::scope(|scope| {
        let mut handles = Vec::with_capacity(threads);
        for _ in 0..threads.max(1) {
            let (sender, source, worker) = (sender.clone(), &source, &worker);
            let started = thread::Builder::new().name("search".to_owned()).spawn_scoped(scope, move || {
                let _close = CloseOnDrop(source);
                let mut work = worker();
                while let Some((index, input)) = source.take() {
                    if sender.send((index, work(input))).is_err() {
                        break;
                    }
                }
            });
            match started {
                Ok(handle) => handles.push(handle),
                Err(error) if handles.is_empty() => return Err(error),
                // With fewer threads the same results come later.
                Err(_) => break,
            }
        }
        drop(sender);
        {
            let _close = CloseOnDrop(&source);
            consume_in_order(&source, &results, &mut consume);
        }
        drop(results);
        for handle in handles {
            if let Err(panic) = handle.join() {
                std::panic::resume_unwind(panic);
            }
        }
        Ok(())
    })
}

fn consume_in_order<I, T, N: FnMut() -> Option<I>>(
    source: &Source<N>,
    results: &mpsc::Receiver<(usize, T)>,
    consume: &mut impl FnMut(T) -> ControlFlow<()>,
) {
    let mut waiting = BTreeMap::new();
    let mut turn = 0;
    while let Ok((index, result)) = results.recv() {
        waiting.insert(index, result);
        while let Some(result) = waiting.remove(&turn) {
            turn += 1;
            if consume(result).is_break() {
                return;
            }
            source.make_room(turn);
        }
    }
}

/// The inputs, shared by the threads.
struct Source<N> {
    state: Mutex<SourceState<N>>,
    room: Condvar,
    read_ahead: usize,
}

struct SourceState<N> {
    next: N,
    taken: usize,
    used: usize,
    closed: bool,
}

impl<I, N: FnMut() -> Option<I>> Source<N> {
    /// The next input and its number; waits while too many results are ahead of their turn.
    fn take(&self) -> Option<(usize, I)> {
        // A poisoned lock means that `next` panicked: there is nothing more to take.
        let mut state = self.state.lock().ok()?;
        while !state.closed && state.taken - state.used >= self.read_ahead {
            state = self.room.wait(state).ok()?;
        }
        if state.closed {
            return None;
        }
        let input = (state.next)()?;
        let index = state.taken;
        state.taken += 1;
        Some((index, input))
    }

    fn make_room(&self, used: usize) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).used = used;
        self.room.notify_all();
    }
}

/// Ends the work when a thread leaves, be it by a panic: whoever waits for room is woken. A thread leaves in order only
/// when there is nothing more to take.
struct CloseOnDrop<'a, N>(&'a Source<N>);

impl<N> Drop for CloseOnDrop<'_, N> {
    fn drop(&mut self) {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
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
        for threads in [1, 2, 7] {
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
                8,
                || inputs.next(),
                || slow_at_times,
                |n| {
                    seen.push(n);
                    ControlFlow::Continue(())
                },
            )
            .expect("threads start");
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
        )
        .expect("threads start");
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
                )
            }))
        };
        assert!(run(false, false, false).is_ok());
        for which in [(true, false, false), (false, true, false), (false, false, true)] {
            assert!(run(which.0, which.1, which.2).is_err(), "{which:?}");
        }
    }
}
