//! Looks several times a second whether there is too much to do, and has new calls refused while that is so
//! (`call::gate::shedding`).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use metrics::{Gauge, describe_gauge, gauge};
use rustix::time::{ClockId, clock_gettime};

use super::core::Core;
use crate::admin::OverloadStatus;
use crate::call::gate::shedding::{Load, Marks, Shedding};
use crate::config;

/// Between two looks.
const TURN: Duration = Duration::from_millis(200);

/// Looks that processor time is averaged over: a single one would see a moment.
const LOOKS: u32 = 5;

/// The marks, and what was seen last.
#[derive(Debug)]
pub struct Overload {
    marks: Mutex<(Marks, usize)>,
    workers: usize,
    /// Percent of processors and transactions, and the lag in milliseconds, as seen last.
    seen: [AtomicU64; 3],
    shed: AtomicU64,
}

impl Overload {
    /// With the marks of a configuration, for so many worker threads.
    pub fn new(config: &config::Config, workers: usize) -> Arc<Self> {
        let marks = Mutex::new((marks(&config.overload), config.limits.max_transactions));
        Arc::new(Self { marks, workers: workers.max(1), seen: Default::default(), shed: AtomicU64::new(0) })
    }

    /// Takes the marks of another configuration.
    pub fn set(&self, config: &config::Config) {
        let wanted = (marks(&config.overload), config.limits.max_transactions);
        *self.marks.lock().unwrap_or_else(PoisonError::into_inner) = wanted;
    }

    /// What was seen last.
    pub fn status(&self) -> OverloadStatus {
        let [processors, transactions, lag] = [0, 1, 2].map(|at: usize| self.seen.get(at).map_or(0, read));
        OverloadStatus {
            shed_percent: percent(read(&self.shed)),
            cpu_percent: percent(processors),
            lag_ms: lag,
            transactions_percent: percent(transactions),
        }
    }

    fn note(&self, load: &Load, shed: u8) {
        let lag = u64::try_from(load.lag.as_millis()).unwrap_or(u64::MAX);
        for (seen, value) in self.seen.iter().zip([hundredths(load.processors), hundredths(load.transactions), lag]) {
            seen.store(value, Ordering::Relaxed);
        }
        self.shed.store(shed.into(), Ordering::Relaxed);
    }
}

fn read(number: &AtomicU64) -> u64 {
    number.load(Ordering::Relaxed)
}

fn percent(number: u64) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

fn hundredths(share: f64) -> u64 {
    (share * 100.0).round() as u64
}

fn marks(overload: &config::Overload) -> Marks {
    Marks {
        processors: f64::from(overload.cpu_percent) / 100.0,
        lag: overload.lag,
        transactions: f64::from(overload.transactions_percent) / 100.0,
    }
}

/// Looks until it is aborted.
pub async fn turn(overload: Arc<Overload>, core: Arc<Core>) {
    let gauges = Gauges::register();
    let mut shedding = Shedding::default();
    let mut processors = Processors::new();
    let mut lags = [Duration::ZERO; LOOKS as usize];
    let mut look = 0;
    loop {
        let before = Instant::now();
        tokio::time::sleep(TURN).await;
        let Some(lag) = lags.get_mut(look % LOOKS as usize) else { return };
        // Whatever is due at the same time is as late as this.
        *lag = before.elapsed().saturating_sub(TURN);
        look += 1;
        let (marks, max_transactions) = *overload.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let transactions = core.status().contexts as f64 / max_transactions.max(1) as f64;
        let load = Load {
            processors: processors.look() / overload.workers as f64,
            // The least of the last ones: one late look is chance, five are not.
            lag: lags.iter().min().copied().unwrap_or_default(),
            transactions,
        };
        let before = core.edge().gate.shed_percent();
        let shed = shedding.look(&load, &marks);
        core.edge().gate.set_shed_percent(shed);
        overload.note(&load, shed);
        gauges.set(&load, shed);
        match (before, shed) {
            (0, 1..) => tracing::warn!(?load, "too much to do: new calls are refused"),
            (1.., 0) => tracing::info!("all new calls are taken again"),
            _ => {}
        }
    }
}

/// Processor time of the process, as a share of the time that passes: 2.0 are two processors.
struct Processors {
    /// The last looks, the oldest first.
    looks: std::collections::VecDeque<(Instant, Duration)>,
}

impl Processors {
    fn new() -> Self {
        Self { looks: [(Instant::now(), used())].into() }
    }

    fn look(&mut self) -> f64 {
        let now = (Instant::now(), used());
        self.looks.push_back(now);
        if self.looks.len() > LOOKS as usize {
            self.looks.pop_front();
        }
        let Some(&(since, before)) = self.looks.front() else { return 0.0 };
        let passed = now.0.duration_since(since).as_secs_f64();
        if passed > 0.0 { now.1.saturating_sub(before).as_secs_f64() / passed } else { 0.0 }
    }
}

fn used() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

struct Gauges {
    shed: Gauge,
    processors: Gauge,
    lag: Gauge,
    transactions: Gauge,
}

impl Gauges {
    fn register() -> Self {
        describe_gauge!("trunkway_overload_shed_ratio", "New calls that are refused since there is too much to do");
        describe_gauge!("trunkway_overload_cpu_ratio", "Processor time used, of that which the workers could have");
        describe_gauge!("trunkway_overload_lag_seconds", "How late timers are");
        describe_gauge!("trunkway_overload_transactions_ratio", "Transactions, of limits.max_transactions");
        Self {
            shed: gauge!("trunkway_overload_shed_ratio"),
            processors: gauge!("trunkway_overload_cpu_ratio"),
            lag: gauge!("trunkway_overload_lag_seconds"),
            transactions: gauge!("trunkway_overload_transactions_ratio"),
        }
    }

    fn set(&self, load: &Load, shed: u8) {
        self.shed.set(f64::from(shed) / 100.0);
        self.processors.set(load.processors);
        self.lag.set(load.lag.as_secs_f64());
        self.transactions.set(load.transactions);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_a_share_of_time() {
        let mut processors = Processors::new();
        let until = Instant::now() + Duration::from_millis(300);
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        // Other tests run beside: more than one processor is possible, none is not.
        let busy = processors.look();
        assert!((0.05..256.0).contains(&busy), "{busy}");
    }
}
