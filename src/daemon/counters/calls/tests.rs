use std::time::Duration;

use super::*;
use crate::call::live::End;
use crate::call::record::{Facts, Outcome, Party};
use crate::trunk::TrunkKind;

/// A call of ten seconds.
pub(super) fn record(from: &str, to: Option<&str>, tenant: Option<&str>) -> CallRecord {
    let party = |name: &str| Party { trunk: name.into(), kind: TrunkKind::Pbx };
    CallRecord {
        id: crate::call::CallId(1),
        call_id: "id".into(),
        from: party(from),
        to: to.map(party),
        tenant: tenant.map(Arc::from),
        began_unix: 0,
        lasted: Some(Duration::from_secs(10)),
        relearned: false,
        outcome: Outcome::HungUp(End::Caller),
        status: 200,
        reason: Box::default(),
        meaning: None,
        facts: Facts {
            rang_after: Some(Duration::from_millis(200)),
            answered_after: Some(Duration::from_secs(3)),
            tries: 2,
            transfers: 1,
            ..Facts::default()
        },
    }
}

fn failed(from: &str, to: Option<&str>, tenant: Option<&str>) -> CallRecord {
    let facts = Facts { tries: 1, ..Facts::default() };
    CallRecord { outcome: Outcome::Unreachable, lasted: None, status: 408, facts, ..record(from, to, tenant) }
}

fn meters(max_trunks: usize, max_tenants: usize, max_pairs: usize) -> CallMeters {
    let meters = CallMeters::default();
    let bind = Some(std::net::SocketAddr::from(([127, 0, 0, 1], 9090)));
    meters.set(&config::Metrics { bind, max_trunks, max_tenants, max_pairs, ..config::Metrics::default() });
    meters
}

/// The series of a page that are not zero.
fn series(meters: &CallMeters, minute: u64) -> Vec<String> {
    let mut page = Page::default();
    meters.write_at(&mut page, minute);
    let text = page.into_text();
    text.lines().filter(|line| !line.starts_with('#') && !line.ends_with(" 0")).map(str::to_owned).collect()
}

fn attempts(meters: &CallMeters) -> Vec<String> {
    let mut found: Vec<_> = series(meters, 0)
        .iter()
        .filter_map(|line| line.strip_prefix("trunkway_call_attempts_total").map(str::to_owned))
        .collect();
    found.sort();
    found
}

#[test]
fn a_call_counts_once_at_each_of_its_trunks() {
    let meters = meters(10, 10, 10);
    meters.count(&record("pbx", Some("teams"), Some("contoso")), 100);
    meters.count(&failed("pbx", None, None), 100);
    assert_eq!(
        attempts(&meters),
        [
            "{trunk=\"pbx\",tenant=\"\",direction=\"in\",result=\"failed\"} 1",
            "{trunk=\"pbx\",tenant=\"contoso\",direction=\"in\",result=\"answered\"} 1",
            "{trunk=\"teams\",tenant=\"contoso\",direction=\"out\",result=\"answered\"} 1",
        ]
    );
    let all = series(&meters, 104);
    for wanted in [
        "trunkway_call_failovers_total{trunk=\"teams\"} 1",
        "trunkway_call_transfers_total{trunk=\"teams\"} 1",
        "trunkway_call_ringing_seconds_bucket{trunk=\"teams\",le=\"0.25\"} 1",
        "trunkway_call_answer_seconds_sum{trunk=\"teams\"} 3",
        "trunkway_call_duration_seconds_sum{trunk=\"teams\"} 10",
        "trunkway_trunk_network_effectiveness_ratio{trunk=\"pbx\",direction=\"in\",window=\"5m\"} 0.5",
        "trunkway_trunk_answer_seizure_ratio{trunk=\"teams\",direction=\"out\",window=\"1h\"} 1",
        "trunkway_trunk_window_calls{trunk=\"pbx\",direction=\"in\",window=\"5m\"} 2",
    ] {
        assert!(all.iter().any(|line| line == wanted), "{wanted} in {all:#?}");
    }
    // The call came in at the other trunk: its times are those of the trunk that was called.
    assert!(!all.iter().any(|line| line.starts_with("trunkway_call_duration_seconds_sum{trunk=\"pbx\"")), "{all:#?}");
    let later = series(&meters, 105);
    assert!(!later.iter().any(|line| line.contains("window=\"5m\"")), "{later:#?}");
}

#[test]
fn what_has_no_room_is_counted_as_other() {
    let meters = meters(2, 2, 3);
    for (from, tenant) in [("a", "t1"), ("a", "t2"), ("a", "t3"), ("b", "t1"), ("b", "t2"), ("c", "t1"), ("d", "t1")] {
        meters.count(&record(from, None, Some(tenant)), 0);
    }
    let found: Vec<_> =
        attempts(&meters).iter().map(|line| line.replace(",direction=\"in\",result=\"answered\"", "")).collect();
    assert_eq!(
        found,
        [
            "{trunk=\"a\",tenant=\"other\"} 1",
            "{trunk=\"a\",tenant=\"t1\"} 1",
            "{trunk=\"a\",tenant=\"t2\"} 1",
            "{trunk=\"b\",tenant=\"other\"} 1",
            "{trunk=\"b\",tenant=\"t1\"} 1",
            "{trunk=\"other\",tenant=\"other\"} 2",
        ]
    );
}

#[test]
fn series_go_with_their_trunk_and_tenant_and_make_room() {
    let meters = meters(2, 2, 10);
    for (from, tenant) in [("a", "t1"), ("b", "t2"), ("a", "t3")] {
        meters.count(&record(from, None, Some(tenant)), 0);
    }
    meters.keep_only(|trunk| trunk == "a", |tenant| tenant != "t1");
    let names = |meters: &CallMeters| -> Vec<_> {
        attempts(meters).iter().map(|line| line.split(",direction").next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(names(&meters), ["{trunk=\"a\",tenant=\"other\""]);
    meters.count(&record("a", None, Some("t3")), 0);
    meters.count(&record("c", None, Some("t4")), 0);
    assert_eq!(
        names(&meters),
        ["{trunk=\"a\",tenant=\"other\"", "{trunk=\"a\",tenant=\"t3\"", "{trunk=\"c\",tenant=\"t4\""]
    );
}

#[test]
fn nothing_is_counted_without_an_endpoint() {
    let meters = meters(1, 1, 1);
    meters.set(&config::Metrics::default());
    meters.ended(&record("a", Some("b"), None));
    assert_eq!(series(&meters, minute()), Vec::<String>::new());
}
