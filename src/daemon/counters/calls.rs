//! Calls by trunk, tenant and result, counted from their records when they are over: the counters that recording rules
//! make ratios of, and the ratios of the last minutes for those who have no rules.
//!
//! Series are bounded by `[metrics]`: what has no room is counted under `other`. A trunk or tenant that the
//! configuration does not have any more takes its series with it.

mod result;
mod window;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::call::{CallRecord, Edge};
use crate::config;
use crate::telemetry::metrics::{Buckets, Kind, Page, Series};
pub use result::CallResult;
use window::Window;

/// The label of what has no series of its own.
const OTHER: &str = "other";

/// Upper bounds of the time until the callee's phone rings, in seconds.
const RINGING_BOUNDS: &[f64] = &[0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 15.0, 30.0];

/// Upper bounds of the time until somebody answers, in seconds.
const ANSWER_BOUNDS: &[f64] = &[0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0];

/// Upper bounds of how long calls are up, in seconds.
const DURATION_BOUNDS: &[f64] = &[5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 7_200.0];

/// From which side of a trunk a call is looked at.
#[derive(Clone, Copy, Debug)]
enum Direction {
    /// The trunk has called.
    In,
    /// The trunk was called.
    Out,
}

impl Direction {
    const ALL: [Self; 2] = [Self::In, Self::Out];

    const fn word(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// Windows that the ready ratios are shown over, with their minutes.
const WINDOWS: [(&str, u64); 2] = [("5m", 5), ("1h", 60)];

type Map<V> = HashMap<Arc<str>, V, foldhash::fast::RandomState>;

/// Calls by direction and result.
#[derive(Clone, Copy, Debug, Default)]
struct Cells([[u64; CallResult::COUNT]; 2]);

/// A family, what it tells, and where its number comes from.
type Row = (&'static str, &'static str, fn(&OfTrunk) -> u64);

/// One of a trunk's histograms.
type BucketsOf = fn(&OfTrunk) -> &Buckets;

/// What is told of the calls of a window, and the whole that it is a part of where it is a ratio.
type PartOf = fn(window::Tally) -> (u32, Option<u32>);

/// What is counted of one trunk.
#[derive(Clone, Debug)]
struct OfTrunk {
    /// By tenant; calls without one are under an empty name.
    tenants: Map<Cells>,
    windows: [Window; 2],
    failovers: u64,
    transfers: u64,
    ringing: Buckets,
    answer: Buckets,
    duration: Buckets,
}

impl Default for OfTrunk {
    fn default() -> Self {
        Self {
            tenants: Map::default(),
            windows: Default::default(),
            failovers: 0,
            transfers: 0,
            ringing: Buckets::new(RINGING_BOUNDS),
            answer: Buckets::new(ANSWER_BOUNDS),
            duration: Buckets::new(DURATION_BOUNDS),
        }
    }
}

/// Calls as metrics.
#[derive(Debug, Default)]
pub struct CallMeters {
    on: AtomicBool,
    max_trunks: AtomicUsize,
    max_tenants: AtomicUsize,
    max_pairs: AtomicUsize,
    /// Each trunk has a lock of its own: writing the page holds up one trunk for microseconds.
    trunks: RwLock<Map<Arc<Mutex<OfTrunk>>>>,
    /// Tenants and pairs that have series.
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    tenants: HashSet<Arc<str>>,
    pairs: usize,
}

impl CallMeters {
    /// Counts from now on as the settings say, or no more when there is no endpoint.
    pub fn set(&self, settings: &config::Metrics) {
        self.max_trunks.store(settings.max_trunks, Relaxed);
        self.max_tenants.store(settings.max_tenants, Relaxed);
        self.max_pairs.store(settings.max_pairs, Relaxed);
        self.on.store(settings.bind.is_some(), Relaxed);
    }

    /// A call is over.
    pub fn ended(&self, record: &CallRecord) {
        if self.on.load(Relaxed) {
            self.count(record, minute());
        }
    }

    fn count(&self, record: &CallRecord, minute: u64) {
        let tenant = record.tenant.as_deref().unwrap_or_default();
        let result = CallResult::of(record);
        let sides = [(Direction::In, Some(&record.from)), (Direction::Out, record.to.as_ref())];
        for (direction, party) in sides {
            let Some(party) = party else { continue };
            let trunk = self.trunk(&party.trunk);
            let mut trunk = lock(&trunk);
            if let Some(result) = result {
                self.cells(&mut trunk, tenant).add(direction, result);
                trunk.window(direction).add(minute, result);
            }
            if matches!(direction, Direction::Out) {
                trunk.called(record, result);
            }
        }
    }

    /// The counts of a trunk, or of all that have none of their own.
    fn trunk(&self, name: &Arc<str>) -> Arc<Mutex<OfTrunk>> {
        if let Some(trunk) = read(&self.trunks).get(name) {
            return Arc::clone(trunk);
        }
        let mut trunks = self.trunks.write().unwrap_or_else(PoisonError::into_inner);
        let room = trunks.len() < self.max_trunks.load(Relaxed) || trunks.contains_key(name);
        let name = if room { Arc::clone(name) } else { OTHER.into() };
        Arc::clone(trunks.entry(name).or_default())
    }

    /// The cells of a tenant at a trunk, or of all that have none of their own.
    fn cells<'a>(&self, trunk: &'a mut OfTrunk, tenant: &str) -> &'a mut Cells {
        let new = (!trunk.tenants.contains_key(tenant)).then(|| self.admit(tenant));
        let name = new.unwrap_or_else(|| tenant.into());
        trunk.tenants.entry(name).or_default()
    }

    /// The name that a tenant's new pair goes by.
    fn admit(&self, tenant: &str) -> Arc<str> {
        let mut known = lock(&self.known);
        let is_known = tenant.is_empty() || known.tenants.contains(tenant);
        let room = is_known || known.tenants.len() < self.max_tenants.load(Relaxed);
        if !room || known.pairs >= self.max_pairs.load(Relaxed) {
            return OTHER.into();
        }
        known.pairs += 1;
        let name: Arc<str> = tenant.into();
        if !is_known {
            known.tenants.insert(Arc::clone(&name));
        }
        name
    }

    /// Forgets trunks and tenants that a configuration does not have.
    pub fn keep(&self, edge: &Edge) {
        let trunks: HashSet<&str> = edge.trunks.0.iter().map(|trunk| &*trunk.name).collect();
        let tenants = edge.routing.tenants().iter().filter(|tenant| !tenant.removed);
        let tenants: HashSet<&str> = tenants.map(|tenant| &*tenant.id).collect();
        self.keep_only(|name| trunks.contains(name), |name| tenants.contains(name));
    }

    fn keep_only(&self, has_trunk: impl Fn(&str) -> bool, has_tenant: impl Fn(&str) -> bool) {
        let gone = |name: &Arc<str>| **name != *OTHER && !has_trunk(name);
        if read(&self.trunks).keys().any(gone) {
            self.trunks.write().unwrap_or_else(PoisonError::into_inner).retain(|name, _| !gone(name));
        }
        // In the order in which calls lock: a trunk, then what is known.
        let mut known = Known::default();
        for trunk in read(&self.trunks).values() {
            let tenants = &mut lock(trunk).tenants;
            tenants.retain(|name, _| name.is_empty() || **name == *OTHER || has_tenant(name));
            let pairs = tenants.keys().filter(|name| ***name != *OTHER);
            known.pairs += pairs.clone().count();
            known.tenants.extend(pairs.filter(|name| !name.is_empty()).map(Arc::clone));
        }
        *lock(&self.known) = known;
    }

    /// All trunks as they are now, by name.
    fn snapshot(&self) -> Vec<(Arc<str>, OfTrunk)> {
        let trunks: Vec<_> =
            read(&self.trunks).iter().map(|(name, trunk)| (Arc::clone(name), Arc::clone(trunk))).collect();
        let mut trunks: Vec<_> = trunks.into_iter().map(|(name, trunk)| (name, lock(&trunk).clone())).collect();
        trunks.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        trunks
    }

    fn write_at(&self, page: &mut Page, minute: u64) {
        let trunks = self.snapshot();
        let name = "trunkway_call_attempts_total";
        let help = "Calls that are over, by trunk, tenant, direction as the trunk sees it from the edge, and result";
        let mut family = page.family(name, Kind::Counter, help);
        for (trunk, of) in &trunks {
            for (tenant, cells) in &of.tenants {
                for (direction, result, count) in cells.iter() {
                    let labels = [
                        ("trunk", &**trunk),
                        ("tenant", tenant),
                        ("direction", direction.word()),
                        ("result", result.word()),
                    ];
                    family.count(&labels, count);
                }
            }
        }
        let sums: [Row; 2] = [
            (
                "trunkway_call_failovers_total",
                "Targets that were tried after others for calls to a trunk, by the trunk tried last",
                |of| of.failovers,
            ),
            ("trunkway_call_transfers_total", "Transfers that calls to a trunk have seen", |of| of.transfers),
        ];
        for (name, help, of) in sums {
            let mut family = page.family(name, Kind::Counter, help);
            trunks.iter().for_each(|(trunk, counts)| family.count(&[("trunk", trunk)], of(counts)));
        }
        let times: [(&'static str, &'static str, BucketsOf); 3] = [
            (
                "trunkway_call_ringing_seconds",
                "Post-dial delay: from the INVITE to the first provisional answer to the caller, by the trunk called",
                |of| &of.ringing,
            ),
            (
                "trunkway_call_answer_seconds",
                "From the INVITE to the 200 of calls that were answered, by the trunk called",
                |of| &of.answer,
            ),
            ("trunkway_call_duration_seconds", "How long calls were up, by the trunk called", |of| &of.duration),
        ];
        for (name, help, of) in times {
            let mut family = page.family(name, Kind::Histogram, help);
            // Trunks that only call have none of these times.
            let called = trunks.iter().filter(|(_, counts)| of(counts).count() > 0);
            called.for_each(|(trunk, counts)| family.histogram(&[("trunk", trunk)], of(counts)));
        }
        write_windows(page, &trunks, minute);
    }
}

/// Writes the ready ratios; of no calls there is no ratio.
fn write_windows(page: &mut Page, trunks: &[(Arc<str>, OfTrunk)], minute: u64) {
    let share = |part: u32, of: u32| (of > 0).then(|| f64::from(part) / f64::from(of));
    let ratios: [(&'static str, &'static str, PartOf); 3] = [
        ("trunkway_trunk_window_calls", "Calls that were over in the last minutes", |it| (it.calls, None)),
        (
            "trunkway_trunk_network_effectiveness_ratio",
            "NER of the last minutes by Microsoft's formula, 0 to 1: answered, busy, not answered or rejected, of all",
            |it| (it.effective, Some(it.calls)),
        ),
        ("trunkway_trunk_answer_seizure_ratio", "ASR of the last minutes, 0 to 1: answered calls of all", |it| {
            (it.answered, Some(it.calls))
        }),
    ];
    for (name, help, of) in ratios {
        let mut family = page.family(name, Kind::Gauge, help);
        for (trunk, counts) in trunks {
            for (direction, window) in Direction::ALL.into_iter().zip(&counts.windows) {
                for (label, minutes) in WINDOWS {
                    let (part, whole) = of(window.last(minutes, minute));
                    let value = whole.map_or_else(|| Some(f64::from(part)), |whole| share(part, whole));
                    let labels = [("trunk", &**trunk), ("direction", direction.word()), ("window", label)];
                    value.into_iter().for_each(|value| family.sample(&labels, value));
                }
            }
        }
    }
}

impl Series for CallMeters {
    fn write(&self, page: &mut Page) {
        if self.on.load(Relaxed) {
            self.write_at(page, minute());
        }
    }
}

impl OfTrunk {
    fn window(&mut self, direction: Direction) -> &mut Window {
        let [inbound, outbound] = &mut self.windows;
        match direction {
            Direction::In => inbound,
            Direction::Out => outbound,
        }
    }

    /// A call to the trunk is over.
    fn called(&mut self, record: &CallRecord, result: Option<CallResult>) {
        let facts = &record.facts;
        self.failovers += u64::from(facts.tries.saturating_sub(1));
        self.transfers += u64::from(facts.transfers);
        if let Some(time) = facts.rang_after {
            self.ringing.record(time.as_secs_f64());
        }
        if let Some(time) = facts.answered_after.filter(|_| result == Some(CallResult::Answered)) {
            self.answer.record(time.as_secs_f64());
        }
        // One that was up before this process knew of it lasted longer than is known.
        if let Some(time) = record.lasted.filter(|_| !record.relearned) {
            self.duration.record(time.as_secs_f64());
        }
    }
}

impl Cells {
    fn add(&mut self, direction: Direction, result: CallResult) {
        let count = self.0.get_mut(direction as usize).and_then(|row| row.get_mut(result as usize));
        count.into_iter().for_each(|count| *count += 1);
    }

    fn iter(&self) -> impl Iterator<Item = (Direction, CallResult, u64)> {
        let row = |(direction, row): (Direction, [u64; CallResult::COUNT])| {
            CallResult::ALL.into_iter().zip(row).map(move |(result, count)| (direction, result, count))
        };
        // A trunk that only calls, or is only called by a tenant, has half of the series.
        Direction::ALL.into_iter().zip(self.0).filter(|(_, row)| row.iter().any(|count| *count > 0)).flat_map(row)
    }
}

/// Minutes since 1970.
fn minute() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 60
}

/// A panic while something was counted costs that count.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
