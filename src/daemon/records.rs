//! Records of calls that are over, in the daemon: a line of the log, a file, and the history.

mod past;
mod settings;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use metrics::{counter, describe_counter, describe_gauge, gauge};

use self::past::Past;
use super::clock::Clock;
use crate::admin::{Cause, Severity};
use crate::call::CallRecord;
use crate::call::mask::Mask;
use crate::cdr::entry::{LOST, Style};
use crate::cdr::file::{FileOrders, RecordFile};
use crate::cdr::history::{History, HistoryPlace};
use crate::cdr::open::{Mark, OpenCalls};
use crate::cdr::sink::Ending;
use crate::cdr::{Counts, Over, Sink, Told};
use crate::config::Config;
use crate::telemetry::logs::{self, Logs};

/// Where these lines are found, and switched off: `trunkway::calls`.
const TARGET: &str = "trunkway::calls";

/// How long what waits may take to be written when the edge stops.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A loss is a cause for so long.
const TOLD: Duration = Duration::from_secs(600);

/// The name of a sink in metrics.
const FILE: &str = "file";
const HISTORY: &str = "history";
const OPEN: &str = "open-calls";

/// Where records go.
#[derive(Debug)]
pub struct Records {
    clock: Clock,
    file: ArcSwapOption<ToFile>,
    history: ArcSwapOption<ToHistory>,
    /// Calls that are up are noted while there are records of them.
    open: ArcSwapOption<ToOpen>,
    past: Past,
    /// How numbers are shown in the log.
    mask: ArcSwap<Mask>,
    /// How they are written in files and the history.
    record_mask: ArcSwap<Mask>,
    file_counts: Arc<Counts>,
    history_counts: Arc<Counts>,
    open_counts: Arc<Counts>,
    losses: Losses,
}

#[derive(Debug)]
struct ToFile {
    path: PathBuf,
    orders: Arc<FileOrders>,
    sink: Sink,
}

#[derive(Debug)]
struct ToHistory {
    history: Arc<History>,
    sink: Sink,
}

#[derive(Debug)]
struct ToOpen {
    style: Arc<Mutex<Style>>,
    sink: Sink<Mark>,
}

/// Records that were lost, as they were told.
#[derive(Debug, Default)]
struct Losses {
    told: AtomicU64,
    /// When the last was seen, in seconds since 1970 UTC.
    last_unix: AtomicU64,
}

impl Records {
    /// Starts what the configuration asks for.
    pub fn start(config: &Config) -> Arc<Self> {
        let records = Arc::new(Self {
            clock: Clock::start(),
            file: ArcSwapOption::empty(),
            history: ArcSwapOption::empty(),
            open: ArcSwapOption::empty(),
            past: Past::default(),
            mask: ArcSwap::default(),
            record_mask: ArcSwap::default(),
            file_counts: Arc::default(),
            history_counts: Arc::default(),
            open_counts: Arc::default(),
            losses: Losses::default(),
        });
        records.reconfigure(config);
        records
    }

    /// Takes up another configuration: files are opened anew, and what waits for a file that is none any more is written
    /// there beside. The length of queues that are there stays, and so does the format of the log.
    pub fn reconfigure(&self, config: &Config) {
        self.mask.store(Arc::new(Mask::new(config.logging.mask_numbers)));
        self.record_mask.store(Arc::new(Mask::new(config.records.mask_numbers)));
        self.reconfigure_file(config);
        self.reconfigure_history(config);
        self.reconfigure_open(config);
        if let Some(log) = logs::installed()
            && let Err(error) = log.configure(&config.logging.filter())
        {
            tracing::error!(%error, "the levels of the log stay as they were");
        }
    }

    fn reconfigure_file(&self, config: &Config) {
        let Some(wanted) = settings::file(config) else {
            self.close_file();
            return;
        };
        if let Some(there) = self.file.load_full().filter(|there| there.path == wanted.path) {
            return there.orders.set(wanted);
        }
        self.close_file();
        let path = wanted.path.clone();
        let orders = FileOrders::new(wanted);
        let inside = Arc::clone(&orders);
        let clock = self.clock;
        let open = move || RecordFile::new(inside, Box::new(move || clock.unix_millis()));
        match Sink::start("records", config.records.queue, Arc::clone(&self.file_counts), open) {
            Ok(sink) => self.file.store(Some(Arc::new(ToFile { path, orders, sink }))),
            Err(error) => tracing::error!(%error, "no thread for the file of records: it is not written"),
        }
    }

    fn reconfigure_history(&self, config: &Config) {
        let Some(wanted) = settings::history(config) else {
            self.close_history();
            return;
        };
        if let Some(there) = self.history.load_full() {
            return there.history.set(wanted.settings);
        }
        let history = History::new(wanted.settings);
        let inside = Arc::clone(&history);
        let clock = self.clock;
        let open = move || HistoryPlace::new(&wanted.directory, inside, Box::new(move || clock.unix_millis()));
        match Sink::start("history", config.records.queue, Arc::clone(&self.history_counts), open) {
            Ok(sink) => self.history.store(Some(Arc::new(ToHistory { history, sink }))),
            Err(error) => tracing::error!(%error, "no thread for the history of calls: it is not written"),
        }
    }

    /// Calls that were up when the process before ended are taken up at the start; later there are none.
    fn reconfigure_open(&self, config: &Config) {
        let is_wanted = self.file.load().is_some() || self.history.load().is_some();
        let Some(directory) = config.state.dir.as_deref().filter(|_| is_wanted) else {
            self.open.store(None);
            return;
        };
        if let Some(there) = self.open.load_full() {
            *there.style.lock().unwrap_or_else(PoisonError::into_inner) = settings::style(config);
            return;
        }
        let loaded = OpenCalls::load(directory, config.limits.max_calls_remembered, settings::style(config));
        let started = loaded.and_then(|(place, opened)| {
            let style = place.style();
            let sink = Sink::start("open-calls", config.records.queue, Arc::clone(&self.open_counts), || place)?;
            Ok((ToOpen { style, sink }, opened))
        });
        match started {
            Ok((open, opened)) => {
                self.open.store(Some(Arc::new(open)));
                self.past.take_in(opened, config.node.seal_max_age);
                self.tell_lost();
            }
            Err(error) => tracing::error!(%error, "calls that are up are not noted: a restart loses their beginnings"),
        }
    }

    /// Whether calls are to be told of when they are answered.
    pub fn wants_ups(&self) -> bool {
        self.open.load().is_some()
    }

    /// A call was answered. Never waits.
    pub fn up(&self, record: CallRecord) {
        if let Some(open) = &*self.open.load() {
            open.sink.give(Mark::Up(Box::new(record), self.clock.unix_millis()));
        }
    }

    /// A call is over. Never waits.
    pub fn ended(&self, record: CallRecord) {
        self.log(&record);
        let (id, was_up) = (record.id, record.lasted.is_some());
        // What this process has seen from its beginning, none before has.
        let before = if record.relearned { self.past.take(id) } else { None };
        self.give(Told::Ended(record, before));
        if was_up && let Some(open) = &*self.open.load() {
            open.sink.give(Mark::Over(id));
        }
    }

    fn give(&self, told: Told) {
        let (file, history) = (self.file.load(), self.history.load());
        if file.is_none() && history.is_none() {
            return;
        }
        let over = Arc::new(Over { told, ended_unix_ms: self.clock.unix_millis() });
        if let Some(file) = &*file {
            file.sink.give(Arc::clone(&over));
        }
        if let Some(history) = &*history {
            history.sink.give(over);
        }
    }

    /// Tells of calls that the process before took with it, as far as none of their ends is to be expected any more.
    fn tell_lost(&self) {
        for (id, opened) in self.past.given_up(self.clock.unix_millis()) {
            tracing::info!(target: TARGET, call = %id, outcome = LOST, "call over");
            self.give(Told::Lost(Box::new(opened)));
            if let Some(open) = &*self.open.load() {
                open.sink.give(Mark::Over(id));
            }
        }
    }

    fn log(&self, record: &CallRecord) {
        if !tracing::enabled!(target: TARGET, tracing::Level::INFO) {
            return;
        }
        let CallRecord { id, call_id, from, to, tenant, lasted, relearned, outcome, .. } = record;
        let CallRecord { status, reason, meaning, facts, .. } = record;
        let mask = self.mask.load();
        tracing::info!(
            target: TARGET,
            call = %id,
            call_id = %mask.text(call_id),
            from = %from.trunk,
            to = to.as_ref().map_or("", |to| &to.trunk),
            caller = %mask.number(&facts.caller),
            called = %mask.number(&facts.called),
            tenant = tenant.as_deref().unwrap_or_default(),
            outcome = outcome.name(),
            status,
            seconds = lasted.map(|lasted| lasted.as_secs_f64()),
            relearned,
            reason = %mask.text(reason),
            meaning = meaning.unwrap_or_default(),
            "call over"
        );
    }

    /// The history, where there is one.
    pub fn history(&self) -> Option<Arc<History>> {
        self.history.load().as_ref().map(|it| Arc::clone(&it.history))
    }

    /// How numbers are written in files and the history.
    pub fn mask(&self) -> Mask {
        **self.record_mask.load()
    }

    /// What is wrong with the records.
    pub fn causes(&self) -> Vec<Cause> {
        let mut causes = Vec::new();
        let mut failing = |name: &str, source: String, fault: Option<String>| {
            causes.extend(fault.map(|fault| Cause {
                severity: Severity::Error,
                name: "records-not-written",
                source,
                text: format!("records of calls are not written to the {name}: {fault}"),
                advice: "look at the disk: what waits is written when it takes records again".to_owned(),
            }));
        };
        if let Some(file) = &*self.file.load() {
            failing(FILE, file.path.display().to_string(), file.sink.fault());
        }
        if let Some(open) = &*self.open.load() {
            failing(OPEN, OPEN.to_owned(), open.sink.fault());
        }
        if let Some(history) = &*self.history.load() {
            failing(HISTORY, HISTORY.to_owned(), history.sink.fault());
        }
        let lost_unix = self.losses.last_unix.load(Ordering::Relaxed);
        if lost_unix > 0 && self.clock.unix().saturating_sub(lost_unix) < TOLD.as_secs() {
            let lost = self.lost();
            causes.push(Cause {
                severity: Severity::Error,
                name: "records-lost",
                source: "records".to_owned(),
                text: format!("{lost} records of calls were lost since the start, the last within 10 minutes"),
                advice: "find what makes the disk slow or full, or raise `queue` in [records]".to_owned(),
            });
        }
        if self.history().is_some_and(|history| history.was_damaged()) {
            causes.push(Cause {
                severity: Severity::Warning,
                name: "history-damaged",
                source: HISTORY.to_owned(),
                text: "the history of calls was damaged, and a new one is begun".to_owned(),
                advice: "the old one is beside it in the state directory: remove it, or keep it for a repair"
                    .to_owned(),
            });
        }
        causes
    }

    /// Lets what waits be written, as far as that takes seconds only. May wait.
    pub fn stop(&self) {
        let open = self.open.swap(None).map(|open| open.sink.ending());
        let endings = [self.close_file(), self.close_history(), open];
        endings.into_iter().flatten().for_each(|ending| ending.wait(LAST_WORDS));
    }

    fn close_file(&self) -> Option<Ending> {
        self.file.swap(None).map(|file| file.sink.ending())
    }

    fn close_history(&self) -> Option<Ending> {
        self.history.swap(None).map(|history| history.sink.ending())
    }

    /// Records lost so far.
    fn lost(&self) -> u64 {
        [&self.file_counts, &self.history_counts, &self.open_counts]
            .iter()
            .map(|counts| counts.dropped.load(Ordering::Relaxed))
            .sum()
    }

    /// Tells of losses since the last time.
    fn tell_losses(&self) {
        let lost = self.lost();
        let told = self.losses.told.swap(lost, Ordering::Relaxed);
        if lost > told {
            self.losses.last_unix.store(self.clock.unix(), Ordering::Relaxed);
            tracing::error!(lost = lost - told, "records of calls are lost: too many wait to be written");
        }
    }
}

/// Tells of losses, and publishes what became of records, until it is aborted.
pub async fn watch(records: Arc<Records>) {
    const WRITTEN: &str = "trunkway_records_written_total";
    const DROPPED: &str = "trunkway_records_dropped_total";
    const WAITING: &str = "trunkway_records_waiting";
    describe_counter!(WRITTEN, "Records of calls written, by where to");
    describe_counter!(DROPPED, "Records of calls lost since too many waited, by where to");
    describe_gauge!(WAITING, "Records of calls that wait to be written, by where to; `queue` in [records] bounds them");
    describe_gauge!("trunkway_history_records", "Records of calls in the history");
    let row = |sink: &'static str, counts: &Arc<Counts>| {
        let (written, dropped) = (counter!(WRITTEN, "sink" => sink), counter!(DROPPED, "sink" => sink));
        (Arc::clone(counts), written, dropped, gauge!(WAITING, "sink" => sink))
    };
    let rows =
        [row(FILE, &records.file_counts), row(HISTORY, &records.history_counts), row(OPEN, &records.open_counts)];
    describe_counter!("trunkway_log_lines_dropped_total", "Lines of the log lost since nobody took them fast enough");
    let lines_dropped = counter!("trunkway_log_lines_dropped_total");
    let kept = gauge!("trunkway_history_records");
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    for round in 0_u64.. {
        interval.tick().await;
        for (counts, written, dropped, waiting) in &rows {
            written.absolute(counts.written.load(Ordering::Relaxed));
            dropped.absolute(counts.dropped.load(Ordering::Relaxed));
            waiting.set(counts.waiting.load(Ordering::Relaxed) as f64);
        }
        kept.set(records.history().map_or(0, |history| history.records()) as f64);
        lines_dropped.absolute(logs::installed().map_or(0, Logs::dropped));
        if round.is_multiple_of(SELDOM) {
            records.tell_losses();
            records.tell_lost();
        }
    }
}

/// Rounds between two words on the same thing.
const SELDOM: u64 = 30;

#[cfg(test)]
mod tests;
