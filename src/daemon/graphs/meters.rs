//! What is measured of requests to Microsoft Graph, by tenant.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Graphs;
use crate::graph::{Call, Observer, Outcome};
use crate::telemetry::metrics::{Buckets, Kind, Page, Series};

/// Upper bounds in seconds: Graph answers in 30 ms to a second, and hangs for longer.
const BOUNDS: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];

/// Tenants that have series of their own; those beyond share one, named `other`.
const MAX_TENANTS: usize = 1_000;

/// Requests of all tenants.
#[derive(Debug, Default)]
pub struct Meters {
    tenants: Mutex<BTreeMap<Arc<str>, Arc<Tenant>>>,
}

/// Requests of one tenant.
#[derive(Debug)]
pub struct Tenant(Mutex<Measured>);

#[derive(Debug)]
struct Measured {
    /// By call and outcome, in the order of their lists.
    counts: [[u64; Outcome::ALL.len()]; Call::ALL.len()],
    times: Buckets,
}

impl Meters {
    /// What counts the requests of a tenant.
    pub fn of_tenant(&self, tenant: &Arc<str>) -> Arc<Tenant> {
        let mut tenants = lock(&self.tenants);
        let name = match tenants.contains_key(tenant) || tenants.len() < MAX_TENANTS {
            true => Arc::clone(tenant),
            false => "other".into(),
        };
        let empty = || Measured { counts: Default::default(), times: Buckets::new(BOUNDS) };
        Arc::clone(tenants.entry(name).or_insert_with(|| Arc::new(Tenant(Mutex::new(empty())))))
    }

    /// Lets those go that are not wanted any more.
    pub fn keep(&self, wanted: impl Fn(&str) -> bool) {
        lock(&self.tenants).retain(|tenant, _| wanted(tenant) || **tenant == *"other");
    }
}

impl Observer for Tenant {
    fn done(&self, call: Call, outcome: Outcome, took: Duration) {
        let place = |found: Option<usize>| found.unwrap_or_default();
        let call = place(Call::ALL.iter().position(|one| *one == call));
        let outcome = place(Outcome::ALL.iter().position(|one| *one == outcome));
        let mut measured = lock(&self.0);
        if let Some(count) = measured.counts.get_mut(call).and_then(|counts| counts.get_mut(outcome)) {
            *count += 1;
        }
        measured.times.record(took.as_secs_f64());
    }
}

impl Series for Graphs {
    fn write(&self, page: &mut Page) {
        let table = self.table.load();
        let health: Vec<_> = table.iter().map(|(tenant, entry)| (tenant, entry.graph.health())).collect();
        let help = "1: somebody has to do something before there is a token for Microsoft Graph that would do";
        let mut family = page.family("trunkway_graph_token_failing", Kind::Gauge, help);
        for (tenant, health) in &health {
            family.count(&[("tenant", tenant)], u64::from(health.needs_person()));
        }
        let mut family = page.family("trunkway_graph_token_age_seconds", Kind::Gauge, "Age of the token in use");
        for (tenant, health) in &health {
            if let Some(age) = health.age {
                family.sample(&[("tenant", tenant)], age.as_secs_f64());
            }
        }
        let help = "When the secret or certificate towards Microsoft Graph ends, in seconds since 1970";
        let mut family = page.family("trunkway_graph_secret_expiry_seconds", Kind::Gauge, help);
        for (tenant, health) in &health {
            if let Some(ends) = health.proof_ends {
                family.sample(&[("tenant", tenant)], ends as f64);
            }
        }
        let tenants = lock(&self.meters.tenants).clone();
        let help = "Requests to Microsoft Graph and Entra, by kind and outcome";
        let mut family = page.family("trunkway_graph_requests_total", Kind::Counter, help);
        for (tenant, measured) in &tenants {
            let counts = lock(&measured.0).counts;
            for (call, counts) in Call::ALL.iter().zip(counts) {
                for (outcome, count) in Outcome::ALL.iter().zip(counts).filter(|(_, count)| *count > 0) {
                    let labels = [("call", call.word()), ("outcome", outcome.word()), ("tenant", &**tenant)];
                    family.count(&labels, count);
                }
            }
        }
        let help = "From the request to the end of the answer of Microsoft Graph and Entra";
        let mut family = page.family("trunkway_graph_request_seconds", Kind::Histogram, help);
        for (tenant, measured) in &tenants {
            let times = lock(&measured.0).times.clone();
            family.histogram(&[("tenant", tenant)], &times);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
