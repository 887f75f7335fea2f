//! The ring of messages and their export: made from the configuration, tended once a second, shown as metrics.

use std::io;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

use crate::admin::{Cause, Severity};
use crate::config::{self, Collector};
use crate::telemetry::hep::{self, Exporter};
use crate::telemetry::trace::{Settings, Trace};

/// Longest password of a collector, in bytes.
const MAX_PASSWORD: usize = 256;

/// Makes the ring, and starts the exporter where there is a collector.
///
/// # Errors
/// When the password cannot be read, or the system gives no socket or thread.
pub fn open(config: &config::Trace) -> io::Result<Arc<Trace>> {
    let exporter = config.hep.as_ref().map(exporter).transpose()?;
    let settings = Settings {
        ring_bytes: config.ring_bytes,
        max_message_bytes: config.max_message_bytes,
        sample_percent: config.sample_percent,
        hold: Duration::from_secs(config.hold_s),
        options: config.options,
        max_followers: config.max_followers,
        follower_queue: config.follower_queue,
    };
    Ok(Arc::new(Trace::new(settings, exporter)))
}

fn exporter(config: &config::Hep) -> io::Result<Exporter> {
    let (collector, over_tcp) = match config.collector {
        Collector::Udp(at) => (at, false),
        Collector::Tcp(at) => (at, true),
    };
    Exporter::start(hep::Settings {
        collector,
        over_tcp,
        capture_id: config.capture_id,
        password: config.password_file.as_deref().map(password).transpose()?,
        all: config.all,
        redact: config.redact,
        queue_bytes: config.queue_bytes,
    })
}

/// The first line of a file.
fn password(file: &Path) -> io::Result<Box<[u8]>> {
    let named = |why: String| io::Error::other(format!("{}: {why}", file.display()));
    let text = std::fs::read(file).map_err(|error| named(error.to_string()))?;
    let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default().trim_ascii();
    if line.is_empty() || line.len() > MAX_PASSWORD {
        return Err(named(format!("its first line is no password of 1 to {MAX_PASSWORD} bytes")));
    }
    Ok(line.into())
}

struct Handles {
    kept: Counter,
    skipped: Counter,
    unreadable: Counter,
    busy: Counter,
    not_followed: Counter,
    entries: Gauge,
    bytes: Gauge,
    held: Gauge,
    sample: Gauge,
    followers: Gauge,
    sent: Counter,
    dropped: Counter,
    failed: Counter,
    waiting: Gauge,
}

impl Handles {
    fn register() -> Self {
        const SKIPPED: &str = "trunkway_trace_skipped_total";
        const NOT_SENT: &str = "trunkway_hep_dropped_total";
        describe_counter!("trunkway_trace_kept_total", "Messages put into the ring");
        describe_counter!(SKIPPED, "Messages that the ring did not take, by reason");
        describe_counter!("trunkway_trace_follower_drops_total", "Messages that a follower was too slow for");
        describe_gauge!("trunkway_trace_entries", "Messages and ends of calls in the ring");
        describe_gauge!("trunkway_trace_bytes", "Bytes of the ring in use");
        describe_gauge!(
            "trunkway_trace_held_seconds",
            "How far back the fullest part of the ring reaches; 0: nothing went"
        );
        describe_gauge!("trunkway_trace_sample_ratio", "Part of calls that is kept");
        describe_gauge!("trunkway_trace_followers", "Those who follow calls now");
        describe_counter!("trunkway_hep_sent_total", "Messages handed to the HEP collector");
        describe_counter!(NOT_SENT, "Messages that did not get to the HEP collector, by reason");
        describe_gauge!("trunkway_hep_queue_bytes", "Bytes that wait for the HEP collector");
        Self {
            kept: counter!("trunkway_trace_kept_total"),
            skipped: counter!(SKIPPED, "reason" => "sample"),
            unreadable: counter!(SKIPPED, "reason" => "unreadable"),
            busy: counter!(SKIPPED, "reason" => "busy"),
            not_followed: counter!("trunkway_trace_follower_drops_total"),
            entries: gauge!("trunkway_trace_entries"),
            bytes: gauge!("trunkway_trace_bytes"),
            held: gauge!("trunkway_trace_held_seconds"),
            sample: gauge!("trunkway_trace_sample_ratio"),
            followers: gauge!("trunkway_trace_followers"),
            sent: counter!("trunkway_hep_sent_total"),
            dropped: counter!(NOT_SENT, "reason" => "queue"),
            failed: counter!(NOT_SENT, "reason" => "network"),
            waiting: gauge!("trunkway_hep_queue_bytes"),
        }
    }

    fn show(&self, trace: &Trace) {
        let counts = &trace.counts;
        for (counter, count) in [
            (&self.kept, &counts.kept),
            (&self.skipped, &counts.skipped),
            (&self.unreadable, &counts.unreadable),
            (&self.busy, &counts.busy),
            (&self.not_followed, &counts.not_followed),
        ] {
            counter.absolute(count.load(Relaxed));
        }
        let fill = trace.fill();
        self.entries.set(fill.entries as f64);
        self.bytes.set(fill.bytes as f64);
        self.held.set(fill.holds.unwrap_or_default().as_secs_f64());
        self.sample.set(fill.sample);
        self.followers.set(fill.followers as f64);
        if let Some(exporter) = trace.exporter() {
            let counts = exporter.counts();
            self.sent.absolute(counts.sent.load(Relaxed));
            self.dropped.absolute(counts.dropped.load(Relaxed));
            self.failed.absolute(counts.failed.load(Relaxed));
            self.waiting.set(exporter.waiting_bytes() as f64);
        }
    }
}

/// How long it counts against the edge that the collector did not get a message.
const UNWELL: Duration = Duration::from_secs(60);

/// What to ask for causes of trouble: messages that did not get to the collector lately.
pub fn health(trace: Arc<Trace>) -> impl Fn() -> Vec<Cause> + Send + Sync {
    let last: Mutex<(u64, Option<Instant>)> = Mutex::default();
    move || {
        let Some(exporter) = trace.exporter() else { return Vec::new() };
        let lost = exporter.counts().dropped.load(Relaxed) + exporter.counts().failed.load(Relaxed);
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if lost > last.0 {
            *last = (lost, Some(Instant::now()));
        }
        if last.1.is_none_or(|at| at.elapsed() > UNWELL) {
            return Vec::new();
        }
        vec![Cause {
            severity: Severity::Warning,
            name: "hep-lost",
            source: exporter.collector().to_string(),
            text: format!("the HEP collector did not get {lost} messages so far, the last of them just now"),
            advice: "see whether it runs and is fast enough, or raise `queue_bytes` of [trace.hep]".to_owned(),
        }]
    }
}

/// Chooses once a second how many calls are kept, and shows how it goes, until it is aborted.
pub async fn tend(trace: Arc<Trace>) {
    if !trace.is_on() {
        return;
    }
    let handles = Handles::register();
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    loop {
        interval.tick().await;
        trace.adapt();
        handles.show(&trace);
    }
}
