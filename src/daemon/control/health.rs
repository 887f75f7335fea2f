//! Behind the door: the health of the edge as a whole, its causes and alarms.
//!
//! Once a second all parts that can be unwell are asked, by one task, beside the calls. What they say is kept for those
//! who ask, and told in the log when it comes and when it goes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Desk;
use super::alarms::{Alarms, News};
use crate::admin::{self, Alarm, Cause, Report, Severity};
use crate::daemon::clock::Clock;

/// How often parts are asked.
const TURN: Duration = Duration::from_secs(1);

/// A part that can be unwell. It takes no lock that calls wait for.
pub type Part = Box<dyn Fn() -> Vec<Cause> + Send + Sync>;

/// The look at all parts.
pub struct Watch {
    parts: Vec<Part>,
    alarms: Mutex<Alarms>,
}

impl Watch {
    /// Of these parts, remembering so many alarms.
    pub fn new(parts: Vec<Part>, max_alarms: usize) -> Self {
        Self { parts, alarms: Mutex::new(Alarms::new(max_alarms)) }
    }

    /// Asks all parts now.
    pub fn look(&self) {
        // Parts are asked before the lock is taken: whoever asks for alarms does not wait for them.
        let causes = self.parts.iter().flat_map(|part| part()).collect();
        let now = Clock::start().unix_millis();
        let news = self.lock().look(now, causes);
        news.iter().for_each(tell);
    }

    fn lock(&self) -> MutexGuard<'_, Alarms> {
        // A look that panicked is made again a second later.
        self.alarms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks until it is aborted.
pub async fn turn(watch: Arc<Watch>) {
    let (warnings, errors) = gauges();
    loop {
        let looked = Arc::clone(&watch);
        // A part may read a file.
        if tokio::task::spawn_blocking(move || looked.look()).await.is_err() {
            tracing::error!("a part of the edge could not be asked for its health");
        }
        let counts = watch.lock().counts();
        warnings.set(counts.0 as f64);
        errors.set(counts.1 as f64);
        tokio::time::sleep(TURN).await;
    }
}

fn gauges() -> (metrics::Gauge, metrics::Gauge) {
    metrics::describe_gauge!("trunkway_alarms", "Alarms that there are now, by severity");
    let of = |severity: &'static str| metrics::gauge!("trunkway_alarms", "severity" => severity);
    (of("warning"), of("error"))
}

/// A line of the log when an alarm comes, and one when it goes.
fn tell(news: &News) {
    match news {
        News::Raised(Cause { name, source, text, advice, severity: Severity::Error }) => {
            tracing::warn!(alarm = name, %source, severity = "error", %advice, "alarm: {text}");
        }
        News::Raised(Cause { name, source, text, advice, severity: Severity::Warning }) => {
            tracing::warn!(alarm = name, %source, severity = "warning", %advice, "alarm: {text}");
        }
        News::Cleared(Cause { name, source, text, .. }, seconds) => {
            tracing::info!(alarm = name, %source, seconds, "alarm is over: {text}");
        }
    }
}

impl admin::Health for Desk {
    fn health(&self) -> Report {
        self.parts.watch.lock().report()
    }

    fn alarms(&self) -> Vec<Alarm> {
        self.parts.watch.lock().all()
    }
}
