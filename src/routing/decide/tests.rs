//! The decision, sentence by sentence: tables of calls and where they go.

mod help;
mod leaving;
mod properties;
mod users;
mod world;

use super::super::{Caller, Decision, Query, Routing};
use super::name;
use crate::trunk::TrunkId;

/// A call and where it shall go, in the words of [`went`].
type Row<'a> = (&'a str, TrunkId, &'a str, &'a str, &'a str);

/// Where a call goes: `trunk=called~seconds, trunk`, or `!reason`.
fn went(routing: &Routing, query: Query<'_>) -> String {
    let decision = routing.route(query);
    let explained = routing.explain(query);
    let text = match &decision {
        Decision::To(choice) => {
            let way = |way: &super::Way| {
                let called = way.called.as_ref().map(|called| format!("={}", String::from_utf8_lossy(called)));
                let beside = way.beside.map(|seconds| format!("~{seconds}"));
                name(routing, way.trunk).to_owned() + &called.unwrap_or_default() + &beside.unwrap_or_default()
            };
            choice.ways.iter().map(way).collect::<Vec<_>>().join(", ")
        }
        Decision::NoRoute(refused) => format!("!{}", refused.why.name()),
    };
    // The same code explains; what it says is what is done.
    match decision {
        Decision::To(choice) => {
            let trunks: Vec<&str> = choice.ways.iter().map(|way| name(routing, way.trunk)).collect();
            assert_eq!(explained.ways.iter().map(|way| &*way.trunk).collect::<Vec<_>>(), trunks);
            assert_eq!(explained.tenant.as_deref(), choice.tenant.map(|tenant| &*tenant.id));
            assert_eq!((explained.reason, explained.emergency), (None, choice.emergency));
            assert!(explained.rule.is_some());
        }
        Decision::NoRoute(refused) => {
            assert_eq!(explained.reason, Some(refused.why.name()));
            assert_eq!(explained.code, Some(refused.why.status().0));
            assert!(explained.ways.is_empty() && explained.rule.is_none());
        }
    }
    text
}

fn check(routing: &Routing, rows: &[Row<'_>]) {
    for (what, from, host, user, expected) in rows {
        let caller = Caller { from: Some("+33123456789"), asserted: None };
        let query = Query { caller: &caller, ..Query::new(*from, host.as_bytes(), user.as_bytes()) };
        assert_eq!(went(routing, query), *expected, "{what}: {:#?}", routing.explain(query).steps);
    }
}
