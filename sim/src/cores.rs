//! Runs the cards of a world in parallel, each on a core of its own.
//!
//! Within a window a card depends on nothing outside it. So worker threads run all cards but the
//! first, and the results are the same as on one thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, Thread};

use crate::card::{Card, Remote, Stop};

/// A worker thread's job: run a card until a cycle.
struct Job {
    card: Remote,
    until: u64,
    stop: Stop,
    /// The thread that waits for the end of the job.
    caller: Thread,
}

#[derive(Default)]
struct Shared {
    job: Mutex<Option<Job>>,
    /// A job is pending or running.
    busy: AtomicBool,
    ended: AtomicBool,
}

struct Worker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Worker threads: one for each card but the first, as far as there are cores.
pub(crate) struct Cores(Vec<Worker>);

/// Polls before a thread parks: a window takes some hundred microseconds, and waking a thread takes
/// ten.
const LOOKS: usize = 4096;

/// Waits until `over` is true. The thread that makes it true unparks this one.
fn wait(over: impl Fn() -> bool) {
    for _ in 0..LOOKS {
        if over() {
            return;
        }
        std::hint::spin_loop();
    }
    while !over() {
        thread::park();
    }
}

impl Worker {
    fn new(number: usize) -> Self {
        let shared = Arc::new(Shared::default());
        let of_thread = shared.clone();
        let work = move || {
            let shared = of_thread;
            loop {
                let busy = || shared.busy.load(Ordering::Acquire);
                wait(|| busy() || shared.ended.load(Ordering::Acquire));
                let job = shared.job.lock().unwrap_or_else(PoisonError::into_inner).take();
                let Some(mut job) = job else { return };
                // SAFETY: the caller that gave the job waits for its end and does not use the card
                // until then.
                unsafe { job.card.run(job.until, job.stop) };
                shared.busy.store(false, Ordering::Release);
                job.caller.unpark();
            }
        };
        // If no thread can be spawned, the caller runs the card.
        let thread = thread::Builder::new().name(format!("card {number}")).spawn(work).ok();
        Worker { shared, thread }
    }

    /// Gives `job` to the worker thread. Returns false if there is none.
    fn give(&self, job: Job) -> bool {
        let Some(thread) = &self.thread else { return false };
        *self.shared.job.lock().unwrap_or_else(PoisonError::into_inner) = Some(job);
        self.shared.busy.store(true, Ordering::Release);
        thread.thread().unpark();
        true
    }
}

impl Cores {
    /// Worker threads for `cards` cards.
    pub fn for_cards(cards: usize) -> Self {
        let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
        Cores((1..cards.min(cores)).map(Worker::new).collect())
    }

    /// Runs all `cards` until cycle `until`, or until the events at which each has to stop.
    pub fn run<'a>(&self, cards: impl Iterator<Item = (&'a mut dyn Card, Stop)>, until: u64) {
        // Waits for the workers even if the caller's own card panics: no card may be dropped while
        // it runs.
        let _all = All(&self.0);
        let mut first = None;
        let mut workers = self.0.iter();
        for (card, stop) in cards {
            if first.is_none() {
                first = Some((card, stop));
                continue;
            }
            let given = match (card.remote(), workers.next()) {
                (Some(card), Some(worker)) => {
                    worker.give(Job { card, until, stop, caller: thread::current() })
                }
                _ => false,
            };
            if !given {
                card.run(until, stop);
            }
        }
        if let Some((card, stop)) = first {
            card.run(until, stop);
        }
    }
}

/// Its drop waits until all workers are idle.
struct All<'a>(&'a [Worker]);

impl Drop for All<'_> {
    fn drop(&mut self) {
        for worker in self.0 {
            wait(|| !worker.shared.busy.load(Ordering::Acquire));
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}
