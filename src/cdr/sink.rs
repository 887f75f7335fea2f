//! A bounded queue with a thread behind it: who has a record never waits.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Over;

/// Records that are taken out of the queue at once.
const BATCH: usize = 512;

/// How long a place that does not take records is left alone.
const RETRY: Duration = Duration::from_secs(1);

/// How often a place is looked after when nothing comes.
const TEND: Duration = Duration::from_millis(500);

/// A place that has been silent for so long with records waiting is told of.
const STUCK: Duration = Duration::from_secs(10);

/// A place where records end up. It is only used on the sink's thread, and may wait.
pub trait Place: Send {
    /// What it takes.
    type Item: Send + 'static;

    /// Keeps records, and counts in `kept` the first ones that it has.
    ///
    /// # Errors
    /// What is wrong, in words; the others are brought again in a while.
    fn keep(&mut self, items: &[Self::Item], kept: &mut usize) -> Result<(), String>;

    /// How long records may be gathered, so that they are kept together.
    fn gather(&self) -> Duration {
        Duration::ZERO
    }

    /// Does what is to be done now and then.
    ///
    /// # Errors
    /// What is wrong, in words.
    fn tend(&mut self) -> Result<(), String>;
}

/// What became of the records of a sink.
#[derive(Debug, Default)]
pub struct Counts {
    pub written: AtomicU64,
    pub dropped: AtomicU64,
    /// Records that wait.
    pub waiting: AtomicUsize,
}

/// What a sink and its thread share.
#[derive(Debug)]
struct Shared {
    counts: Arc<Counts>,
    /// What is wrong with the place.
    fault: Mutex<Option<String>>,
    /// When the place last took records or had nothing to take.
    progress: Mutex<Instant>,
    /// The thread ends without what the place does not take.
    give_up: AtomicBool,
    ended: Mutex<bool>,
    has_ended: Condvar,
}

/// The door to a place. When it is dropped, what waits is written, and the thread ends.
#[derive(Debug)]
pub struct Sink<T = Arc<Over>> {
    shared: Arc<Shared>,
    sender: SyncSender<T>,
}

/// The end of a sink's thread.
#[derive(Clone, Debug)]
pub struct Ending(Arc<Shared>);

impl Ending {
    /// Waits until the thread of a sink that was dropped has written what waited; when `patience` is over, it gives up.
    pub fn wait(self, patience: Duration) {
        let ended = lock(&self.0.ended);
        let done = self.0.has_ended.wait_timeout_while(ended, patience, |ended| !*ended);
        let (ended, _) = done.unwrap_or_else(PoisonError::into_inner);
        if !*ended {
            self.0.give_up.store(true, Ordering::Relaxed);
        }
    }
}

impl<T: Send + 'static> Sink<T> {
    /// Starts the thread of a place that `open` makes there; `queue` records may wait. What becomes of them is added to
    /// `counts`, which may have been those of another sink.
    ///
    /// # Errors
    /// What the system says when it gives no thread.
    pub fn start<P: Place<Item = T>>(
        name: &str,
        queue: usize,
        counts: Arc<Counts>,
        open: impl FnOnce() -> P + Send + 'static,
    ) -> Result<Self, std::io::Error> {
        let shared = Arc::new(Shared {
            counts,
            fault: Mutex::default(),
            progress: Mutex::new(now()),
            give_up: AtomicBool::new(false),
            ended: Mutex::new(false),
            has_ended: Condvar::new(),
        });
        let (sender, receiver) = mpsc::sync_channel(queue);
        let inside = Arc::clone(&shared);
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            serve(&inside, &receiver, open());
            *lock(&inside.ended) = true;
            inside.has_ended.notify_all();
        })?;
        Ok(Self { shared, sender })
    }

    /// Gives a record; one that finds no room is dropped and counted. Never waits.
    pub fn give(&self, item: T) {
        let counts = &self.shared.counts;
        counts.waiting.fetch_add(1, Ordering::Relaxed);
        if self.sender.try_send(item).is_err() {
            counts.waiting.fetch_sub(1, Ordering::Relaxed);
            counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The end of its thread, to be waited for when the sink is dropped.
    pub fn ending(&self) -> Ending {
        Ending(Arc::clone(&self.shared))
    }

    /// What is wrong with the place now, in words.
    pub fn fault(&self) -> Option<String> {
        let fault = lock(&self.shared.fault).clone();
        let waiting = self.shared.counts.waiting.load(Ordering::Relaxed);
        let silent = lock(&self.shared.progress).elapsed();
        fault.or_else(|| {
            (waiting > 0 && silent > STUCK)
                .then(|| format!("it has taken nothing for {} s, and {waiting} records wait", silent.as_secs()))
        })
    }
}

fn serve<P: Place>(shared: &Shared, receiver: &Receiver<P::Item>, mut place: P) {
    let mut batch: Vec<P::Item> = Vec::with_capacity(BATCH);
    let mut closed = false;
    loop {
        // What the place does not take stays here, and the rest in the queue.
        if batch.is_empty() && !closed {
            match receiver.recv_timeout(TEND) {
                Ok(over) => batch.push(over),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => closed = true,
            }
        }
        gather(receiver, &mut batch, place.gather());
        let mut taken = 0;
        let kept = if batch.is_empty() { Ok(()) } else { place.keep(&batch, &mut taken) };
        let refused = kept.is_err();
        shared.counts.written.fetch_add(taken as u64, Ordering::Relaxed);
        shared.counts.waiting.fetch_sub(taken, Ordering::Relaxed);
        batch.drain(..taken.min(batch.len()));
        if batch.is_empty() || taken > 0 {
            *lock(&shared.progress) = now();
        }
        let tended = kept.and_then(|()| place.tend());
        let fault = tended.err();
        {
            let mut told = lock(&shared.fault);
            match (&fault, &*told) {
                (Some(fault), None) => tracing::error!(%fault, "records of calls are not written: they wait"),
                (None, Some(_)) => tracing::info!("records of calls are written again"),
                _ => {}
            }
            *told = fault;
        }
        if closed && batch.is_empty() {
            return;
        }
        if refused {
            if shared.give_up.load(Ordering::Relaxed) {
                let lost = batch.len() + receiver.try_iter().count();
                shared.counts.dropped.fetch_add(lost as u64, Ordering::Relaxed);
                return;
            }
            std::thread::sleep(RETRY);
        }
    }
}

/// Takes what comes within a time, as far as there is room.
fn gather<T>(receiver: &Receiver<T>, batch: &mut Vec<T>, time: Duration) {
    let until = now() + time;
    while !batch.is_empty() && batch.len() < BATCH {
        let Ok(over) = receiver.recv_timeout(until.saturating_duration_since(now())) else { break };
        batch.push(over);
    }
}

fn now() -> Instant {
    Instant::now()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What is inside is replaced as a whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
