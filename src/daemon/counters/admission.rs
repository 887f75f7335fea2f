//! Calls in progress and what limits did about new ones, by trunk, tenant and site; read from the meters when the page is.

use std::sync::Arc;

use crate::call::Gate;
use crate::call::admission::{Meter, Scope};
use crate::telemetry::metrics::{Kind, Page, Series};

/// Names of one scope that have series of their own; the rest is counted under `other`.
const MOST_NAMES: usize = 500;

/// What those have in common that have no series of their own.
const OTHER: &str = "other";

/// The meters of calls as series.
pub struct Admission {
    gate: Arc<Gate>,
}

/// What is told of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Row {
    name: Arc<str>,
    calls_in: u64,
    calls_out: u64,
    refused: u64,
    soft: u64,
}

/// What is told of a name.
type Of = fn(&Row) -> u64;

impl Admission {
    /// Of the gate that all configurations share.
    pub const fn new(gate: Arc<Gate>) -> Self {
        Self { gate }
    }
}

impl Series for Admission {
    fn write(&self, page: &mut Page) {
        let rows = |scope| bounded(&self.gate.meters().all(scope));
        let (trunks, tenants) = (rows(Scope::Trunk), rows(Scope::Tenant));
        let help = "Calls in progress of a trunk, by direction as the trunk sees it from the edge";
        let mut family = page.family("trunkway_trunk_calls", Kind::Gauge, help);
        for row in &trunks {
            family.sample(&[("trunk", &row.name), ("direction", "in")], row.calls_in as f64);
            family.sample(&[("trunk", &row.name), ("direction", "out")], row.calls_out as f64);
        }
        let mut family = page.family("trunkway_tenant_calls", Kind::Gauge, "Calls in progress of a tenant");
        for row in &tenants {
            family.sample(&[("tenant", &row.name)], (row.calls_in + row.calls_out) as f64);
        }
        let totals: [(_, _, Of); 2] = [
            ("trunkway_limit_refused_total", "Calls that did not pass a limit of calls", |row| row.refused),
            ("trunkway_limit_soft_total", "Times that a limit's soft threshold was passed on the way up", |row| {
                row.soft
            }),
        ];
        let [sites, users] = [Scope::Site, Scope::User].map(rows);
        for (name, help, of) in totals {
            let mut family = page.family(name, Kind::Counter, help);
            for (scope, rows) in [(Scope::Trunk, &trunks), (Scope::Tenant, &tenants), (Scope::Site, &sites)] {
                rows.iter().for_each(|row| family.count(&[("scope", scope.word()), ("name", &row.name)], of(row)));
            }
            // Who is called how often is nobody's business but the records'.
            let users = users.iter().map(of).sum();
            family.count(&[("scope", Scope::User.word()), ("name", OTHER)], users);
        }
    }
}

/// The meters by name, those behind the first so many in one row.
fn bounded(meters: &[Arc<Meter>]) -> Vec<Row> {
    let mut meters: Vec<_> = meters.iter().collect();
    meters.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    let row = |meter: &&Arc<Meter>| {
        let ((came, went), told) = (meter.used(), meter.refused());
        let (calls_in, calls_out) = (u64::from(came), u64::from(went));
        Row { name: Arc::clone(&meter.name), calls_in, calls_out, refused: told.refused, soft: told.soft }
    };
    let mut rows: Vec<Row> = meters.iter().take(MOST_NAMES).map(row).collect();
    if meters.len() > MOST_NAMES {
        let other = meters.iter().skip(MOST_NAMES).map(row).fold(Row::default(), |sum, row| Row {
            name: OTHER.into(),
            calls_in: sum.calls_in + row.calls_in,
            calls_out: sum.calls_out + row.calls_out,
            refused: sum.refused + row.refused,
            soft: sum.soft + row.soft,
        });
        rows.push(other);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::admission::Meters;

    #[test]
    fn names_past_the_most_are_one_row() {
        let meters = Meters::default();
        for number in 0..MOST_NAMES + 3 {
            meters.meter(Scope::Tenant, &format!("t{number:04}"));
        }
        let rows = bounded(&meters.all(Scope::Tenant));
        assert_eq!((rows.len(), &*rows[0].name, &*rows[MOST_NAMES].name), (MOST_NAMES + 1, "t0000", OTHER));
    }

    #[test]
    fn series_say_what_is_in_progress() {
        let gate = Arc::new(Gate::default());
        gate.meters().meter(Scope::Trunk, "carrier");
        let mut page = Page::default();
        Admission::new(gate).write(&mut page);
        let text = page.into_text();
        assert!(text.contains("trunkway_trunk_calls{trunk=\"carrier\",direction=\"in\"} 0"), "{text}");
        assert!(text.contains("trunkway_limit_refused_total{scope=\"trunk\",name=\"carrier\"} 0"), "{text}");
    }
}
