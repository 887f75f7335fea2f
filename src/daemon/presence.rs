//! The sidecar: presence on a thread of its own, beside the calls.
//!
//! [`Inbox`] is the way in, from any thread and without waiting; [`side::Side`] is everything on the thread: the pure
//! bridge, and what carries its messages and requests. What the bridge says is done by the thread itself; Graph is
//! asked by tasks on the same thread, which bring their answers back as orders.

pub mod agent;
pub mod divert;
mod feed;
pub mod inbox;
pub mod lines;
mod listing;
pub mod roll;
pub mod series;
pub mod side;
pub mod teams;
pub mod webhook;
mod wishes;

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::oneshot;

use self::divert::Divert;
use self::inbox::{Inbox, Outlet};
use self::lines::Lines;
use self::series::{BridgeSeries, Counted};
use self::side::{Parts, Side};
use super::reload::Reloader;
use crate::config::Config;

/// Events that are taken at once before the time is looked at again.
const TURN: usize = 256;

/// How long a start waits until the users of the bridge are known.
const READY: Duration = Duration::from_secs(10);

/// The longest that the thread sleeps.
const LONGEST: Duration = Duration::from_millis(500);

/// How much the thread stands back where calls want the same processor: it gets a tenth of what they get.
const NICE: i32 = 10;

/// The bridge's thread as others see it.
#[derive(Debug)]
pub struct Sidecar {
    inbox: Arc<Inbox>,
    divert: Arc<Divert>,
    lines: Arc<Lines>,
    counted: Arc<ArcSwapOption<Counted>>,
    outlet: Mutex<Option<Outlet>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Sidecar {
    /// A sidecar that is not running yet: what is put into its inbox waits.
    pub fn new(config: &Config) -> Arc<Self> {
        let (inbox, outlet) = Inbox::new(config.presence.queue);
        let inbox = Arc::new(inbox);
        Arc::new(Self {
            divert: Arc::new(Divert::new(Arc::clone(&inbox), &config.presence)),
            lines: Arc::new(Lines::new(&config.presence)),
            inbox,
            counted: Arc::default(),
            outlet: Mutex::new(Some(outlet)),
            thread: Mutex::default(),
        })
    }

    /// The way in.
    pub const fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    /// What finds the bridge's messages among those that come.
    pub const fn divert(&self) -> &Arc<Divert> {
        &self.divert
    }

    /// Where calls tell which users are in them.
    pub const fn lines(&self) -> &Arc<Lines> {
        &self.lines
    }

    /// What the bridge counts, as series.
    pub fn series(&self) -> BridgeSeries {
        BridgeSeries {
            counted: Arc::clone(&self.counted),
            inbox: Arc::clone(&self.inbox),
            divert: Arc::clone(&self.divert),
            lines: Arc::clone(&self.lines),
        }
    }

    /// Starts the thread; a second start does nothing.
    ///
    /// # Errors
    /// The system gives no thread, or no runtime on it.
    pub fn start(&self, parts: Parts) -> std::io::Result<()> {
        let Some(outlet) = lock(&self.outlet).take() else { return Ok(()) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let counted = Arc::clone(&self.counted);
        let (ready, begun) = sync_channel(1);
        let body = move || {
            // For this thread and those that it starts. An error: the system does not let it, and calls share evenly.
            let _ = rustix::process::nice(NICE);
            runtime.block_on(turn(Side::new(parts, counted), outlet, ready));
        };
        let thread = std::thread::Builder::new().name("presence".to_owned()).spawn(body)?;
        *lock(&self.thread) = Some(thread);
        // Who asks for a user as soon as the edge is ready shall find him. An error: it goes on, and is ready later.
        let _ = begun.recv_timeout(READY);
        Ok(())
    }

    /// Lets the bridge end in good order, for so long at the most; `true`: it did.
    pub async fn stop(&self, limit: Duration) -> bool {
        let Some(thread) = lock(&self.thread).take() else { return true };
        let (done, ended) = oneshot::channel();
        let asked = self.inbox.order(move |side| side.stop(done));
        let in_order = asked.is_ok() && tokio::time::timeout(limit, ended).await.is_ok();
        if in_order {
            // A failure to join would be a panic in there, which is logged.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
        in_order
    }
}

impl Drop for Sidecar {
    /// Whoever forgets to stop it leaves no thread behind.
    fn drop(&mut self) {
        let (done, _) = oneshot::channel();
        // An error: it has ended, or is too busy to be told; then it ends with the process.
        let _ = self.inbox.order(move |side| side.stop(done));
    }
}

/// Has the bridge take its tables when the configuration is reloaded.
pub fn follow(reloader: &Reloader, sidecar: &Arc<Sidecar>) {
    let Sidecar { inbox, divert, lines, .. } = &**sidecar;
    let (inbox, divert, lines) = (Arc::clone(inbox), Arc::clone(divert), Arc::clone(lines));
    reloader.follow("presence", move |config| {
        let settings = config.presence.clone();
        divert.set(&settings);
        lines.set(&settings);
        if inbox.order(move |side| side.set(settings)).is_err() {
            tracing::warn!("the presence bridge is too busy to take its new settings: reload again");
        }
    });
}

/// The life of the thread.
async fn turn(mut side: Side, mut outlet: Outlet, ready: SyncSender<()>) {
    side.handle_time();
    // An error: nobody waits any more.
    let _ = ready.send(());
    let mut events = Vec::with_capacity(TURN);
    let mut orders = Vec::with_capacity(TURN);
    while !side.is_over() {
        let wait = side.next_wake().map_or(LONGEST, |at| at.min(LONGEST));
        let lines = side.lines_changed();
        tokio::select! {
            biased;
            count = outlet.orders.recv_many(&mut orders, TURN) => if count == 0 { break },
            () = lines => {}
            _ = outlet.network.recv_many(&mut events, TURN) => {}
            () = tokio::time::sleep(wait) => {}
        }
        orders.drain(..).for_each(|order| order(&mut side));
        side.handle_lines();
        events.drain(..).for_each(|event| side.handle(event));
        side.handle_time();
        // Tasks of this thread that are ready go on before the next batch.
        tokio::task::yield_now().await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
