//! Calls that leave: the caller's side, and routes with classes, windows, groups and cost.

use jiff::tz::TimeZone;

use super::super::super::number::Form;
use super::super::super::{
    Caller, Callers, Decision, Group, Matched, Member, Order, Query, Route, RuleShown, TenantId, Window,
};
use super::went;
use super::world::*;
use super::{Routing, check};
use crate::trunk::TrunkId;
use std::borrow::Cow;
use std::cell::Cell;

fn with_routes(routes: Vec<Route>) -> Routing {
    let mut parts = parts();
    parts.routes = routes;
    routing(parts)
}

fn of(tenant: u32, from: Option<TrunkId>, prefix: &str, to: &[TrunkId]) -> Route {
    Route { tenant: Some(TenantId(tenant)), ..Route::serial(from, prefix, to) }
}

#[test]
fn caller_decides_the_side_and_the_asserted_number_counts_for_more() {
    let rules = &[
        ("+4420", CONTOSO, ""),
        ("+4421", "second", ""),
        ("+4422", "own-f", ""),
        ("+4423", "pbx", ""),
        ("+4424", FABRIKAM, ""),
        ("+442", "help", ""),
        ("+4425", "teams", ""),
    ];
    let routing = routing(parts_with(rules, vec![contoso(), fabrikam(), northwind(), gone()]));
    type Row<'a> = (&'a str, &'a str, Option<&'a str>, Option<&'a str>, &'a str);
    #[rustfmt::skip]
    let rows: &[Row<'_>] = &[
        ("the site's own trunk",              CONTOSO, None, None, "carrier"),
        ("nothing is found",                  CONTOSO, Some("+331"), None, "carrier"),
        ("the caller's site",                 CONTOSO, Some("+44201"), None, "carrier"),
        ("the caller's trunk",                CONTOSO, Some("+44211"), None, "second"),
        ("the tenant's own PBX",              CONTOSO, Some("+44231"), None, "pbx"),
        ("asserted wins",                     CONTOSO, Some("+44211"), Some("+44231"), "pbx"),
        ("asserted is not found",             CONTOSO, Some("+44211"), Some("+331"), "second"),
        ("another tenant's; a wider one",     CONTOSO, Some("+44221"), None, "help"),
        ("another tenant's site, likewise",   CONTOSO, Some("+44241"), None, "help"),
        ("not back to Teams, likewise",       CONTOSO, Some("+44251"), None, "help"),
        ("own carrier of the tenant",         FABRIKAM, Some("+44221"), None, "own-f"),
        ("a trunk, for no tenant",            EDGE, Some("+44211"), None, "second"),
        ("no tenant's site for no tenant",    EDGE, Some("+44201"), None, "help"),
        ("hidden, no tenant",                 EDGE, None, None, "!no_rule"),
    ];
    for (what, host, from, asserted, expected) in rows {
        let caller = Caller { from: *from, asserted: *asserted };
        let query = Query { caller: &caller, ..Query::new(TEAMS, host.as_bytes(), b"+12125550100") };
        assert_eq!(went(&routing, query), *expected, "{what}: {:#?}", routing.explain(query).steps);
    }
    let caller = Caller { from: Some("+44211"), asserted: None };
    let query = Query { caller: &caller, ..Query::new(TEAMS, CONTOSO.as_bytes(), b"+1") };
    let Some(RuleShown::Plan(rule)) = routing.explain(query).rule else { panic!() };
    assert_eq!((rule.plan.as_str(), rule.prefix.as_str(), rule.tag.as_str()), ("numbers", "+4421", "second"));
}

/// Counts how often it is asked.
#[derive(Debug, Default)]
struct Asked(Cell<u32>);

impl Callers for Asked {
    fn from(&self) -> Option<Cow<'_, [u8]>> {
        self.0.set(self.0.get() + 1);
        Some(Cow::Borrowed(b"+331"))
    }

    fn asserted(&self) -> Option<Cow<'_, [u8]>> {
        self.from()
    }
}

#[test]
fn caller_is_read_only_where_it_matters() {
    let routing = with_routes(vec![Route::serial(None, "+1", &[CARRIER])]);
    for (from, host, user, times) in [
        (TEAMS, CONTOSO, "402", 0),           // a user
        (TEAMS, CONTOSO, "+12125550100", 0),  // a route
        (TEAMS, CONTOSO, "+33123456789", 2),  // the caller's side
        (TEAMS, FABRIKAM, "+12125550100", 2), // a route, unless the side is the tenant's own carrier
        (CARRIER, EDGE, "+441632768401", 0),
    ] {
        let asked = Asked::default();
        let query = Query { caller: &asked, ..Query::new(from, host.as_bytes(), user.as_bytes()) };
        routing.route(query);
        assert_eq!(asked.0.get(), times, "{host} {user}");
    }
}

#[test]
fn most_specific_class_comes_first_then_the_longest_prefix() {
    let routes = vec![
        Route::serial(None, "+1212555", &[HELP]),
        Route::serial(Some(TEAMS), "+1212", &[CARRIER]),
        of(0, None, "+12", &[SECOND]),
        of(0, Some(TEAMS), "+1", &[CARRIER, SECOND]),
        of(0, Some(TEAMS), "+1212", &[SECOND, CARRIER]),
        Route::serial(None, "+39", &[HELP]),
        of(1, None, "+49", &[CARRIER]),
    ];
    let routing = with_routes(routes);
    #[rustfmt::skip]
    check(&routing, &[
        ("from and tenant, the longer",       TEAMS, CONTOSO, "+12125550100", "second, carrier"),
        ("from and tenant",                   TEAMS, CONTOSO, "+12025550100", "carrier, second"),
        ("tenant",                            PBX, EDGE, "+12125550100", "second"),
        ("from",                              TEAMS, NORTHWIND, "+12125550100", "carrier"),
        ("any",                               SHARED_PBX, EDGE, "+12125550100", "help"),
        ("any, for a tenant",                 PBX, EDGE, "+3912", "help"),
        ("own carrier is not bypassed",       TEAMS, FABRIKAM, "+3912", "own-f"),
        ("but by a route of the tenant's",    TEAMS, FABRIKAM, "+49123", "carrier"),
        ("another tenant's route",            SHARED_PBX, EDGE, "+49123", "!forbidden"),
        ("another from",                      SHARED_PBX, EDGE, "+1212", "!forbidden"),
        ("a PBX leaves by its site's trunk",  PBX, EDGE, "+49123", "carrier"),
        ("a PBX's own carrier",               OTHER_PBX, EDGE, "+3912", "own-f"),
        ("out from a carrier",                CARRIER, EDGE, "+3912", "!forbidden"),
    ]);
    let explained = routing.explain(Query::new(TEAMS, CONTOSO.as_bytes(), b"+12025550100"));
    let (prefix, tenant) = ("+1".to_owned(), Some("contoso".to_owned()));
    assert_eq!(explained.rule, Some(RuleShown::Route { index: 3, prefix, from: Some("teams".to_owned()), tenant }));
}

#[test]
fn route_that_takes_every_number_does_not_make_strangers_known() {
    let routing = with_routes(vec![Route::serial(Some(TEAMS), "", &[CARRIER])]);
    check(
        &routing,
        &[
            ("from Teams", TEAMS, CONTOSO, "alice", "carrier"),
            ("from a carrier", CARRIER, EDGE, "+33123456789", "!no_rule"),
        ],
    );
}

#[test]
fn trunks_of_other_tenants_and_ways_back_are_left_out() {
    let routes = vec![
        Route::serial(None, "+1", &[OWN_CARRIER, SECOND]),
        Route::serial(None, "+2", &[OWN_CARRIER]),
        Route::serial(None, "+3", &[SHARED_PBX]),
        Route { hairpin: true, ..Route::serial(None, "+4", &[SHARED_PBX, CARRIER]) },
        Route::serial(Some(CARRIER), "+5", &[SECOND]),
        Route::serial(None, "+6", &[SECOND, PBX]),
        Route { hairpin: true, ..Route::serial(None, "+7", &[CARRIER]) },
        Route::serial(None, "", &[HELP]),
    ];
    let routing = with_routes(routes);
    #[rustfmt::skip]
    check(&routing, &[
        ("another's carrier is left out",     TEAMS, CONTOSO, "+1", "second"),
        ("nothing is left, no shorter one",   SHARED_PBX, EDGE, "+2", "!forbidden"),
        ("nothing is left: the site's trunk", TEAMS, CONTOSO, "+2", "carrier"),
        ("back",                              SHARED_PBX, EDGE, "+3", "!loop"),
        ("back by hairpin",                   SHARED_PBX, EDGE, "+4", "shared-pbx, carrier"),
        ("carrier to carrier, by name",       CARRIER, EDGE, "+5", "second"),
        ("carrier to a PBX",                  CARRIER, EDGE, "+6", "pbx"),
        ("back to the carrier by hairpin",    CARRIER, EDGE, "+7", "carrier"),
    ]);
}

#[test]
fn first_open_route_of_a_prefix_wins_then_the_next_shorter_prefix() {
    // 1970-01-01 was a Thursday.
    let at = |days: u8, route: Route| Route {
        windows: vec![Window { days, from: 8 * 60, to: 18 * 60, zone: TimeZone::UTC }],
        ..route
    };
    let routing = with_routes(vec![
        at(0b1000, Route::serial(None, "+12", &[CARRIER])),
        at(0b11000, Route::serial(None, "+12", &[SECOND])),
        Route::serial(None, "+1", &[HELP]),
        at(0b1000, Route::serial(None, "+3", &[HELP])),
    ]);
    let noon = 12 * 3600;
    let day = 24 * 3600;
    for (user, now, expected) in [
        ("+1212", noon, "carrier"),
        ("+1212", noon + day, "second"),
        ("+1212", noon + 2 * day, "help"),
        ("+1212", noon + 7 * day, "carrier"),
        ("+1212", noon + 8 * 3600, "help"),
        ("+33", noon, "help"),
        ("+33", noon + day, "!closed"),
    ] {
        let query = Query { now, ..Query::new(SHARED_PBX, b"", user.as_bytes()) };
        assert_eq!(went(&routing, query), expected, "{user} {now}");
    }
}

#[test]
fn groups_follow_each_other_and_chance_is_the_draws() {
    let member = |trunk, priority, weight| Member { trunk, priority, weight };
    let groups = vec![
        Group { order: Order::Priority, members: vec![member(CARRIER, 1, 70), member(SECOND, 1, 30)] },
        Group { order: Order::Priority, members: vec![member(HELP, 9, 1), member(SHARED_PBX, 2, 1)] },
    ];
    let routing = with_routes(vec![Route { groups, ..Route::serial(None, "+1", &[]) }]);
    let mut first = 0;
    for draw in 0..10_000 {
        let query = Query { draw, ..Query::new(TEAMS, CONTOSO.as_bytes(), b"+12125550100") };
        let Decision::To(choice) = routing.route(query) else { panic!() };
        let trunks: Vec<TrunkId> = choice.ways.iter().map(|way| way.trunk).collect();
        assert_eq!(trunks[2..], [SHARED_PBX, HELP]);
        let Decision::To(again) = routing.route(query) else { panic!() };
        assert_eq!(again.ways, choice.ways, "one draw, one order");
        first += u32::from(trunks[0] == CARRIER);
    }
    assert!(first.abs_diff(7_000) < 200, "{first}");
}

#[test]
fn cheapest_trunk_is_tried_first_for_the_number_in_full() {
    let mut parts = parts();
    parts.origins[usize::from(CARRIER.0)].rates = Some(rates(&[("+44", "0.02"), ("+4420", "0.005"), ("+33", "0.03")]));
    parts.origins[usize::from(SECOND.0)].rates = Some(rates(&[("+44", "0.01"), ("+33", "0.03")]));
    let member = |trunk, priority| Member { trunk, priority, weight: 1 };
    let members = vec![member(HELP, 0), member(CARRIER, 2), member(SECOND, 1)];
    let groups = vec![Group { order: Order::Cost, members }];
    parts.routes = vec![Route { groups, ..Route::serial(None, "", &[]) }];
    let routing = routing(parts);
    #[rustfmt::skip]
    check(&routing, &[
        ("by rate",                 TEAMS, CONTOSO, "+441619460000", "second, carrier, help"),
        ("by a longer prefix",      TEAMS, CONTOSO, "+442079460000", "carrier, second, help"),
        ("dialled nationally",      TEAMS, CONTOSO, "02079460000", "carrier, second, help"),
        ("a tie: by priority",      TEAMS, CONTOSO, "+33123456789", "second, carrier, help"),
        ("nobody says: priority",   TEAMS, CONTOSO, "+12125550100", "help, second, carrier"),
    ]);
}

#[test]
fn route_says_how_numbers_are_written() {
    let forms = |called, calling, prefix: &str| Route {
        called: Some(called),
        calling: Some(calling),
        ..Route::serial(None, prefix, &[CARRIER])
    };
    let routing = with_routes(vec![forms(Form::E164, Form::E164NoPlus, "0"), forms(Form::Dialled, Form::AsIs, "+")]);
    #[rustfmt::skip]
    check(&routing, &[
        ("national to international",  TEAMS, CONTOSO, "02079460000", "carrier=+442079460000"),
        ("international to national",  TEAMS, CONTOSO, "+442079460000", "carrier=02079460000"),
        ("abroad",                     TEAMS, CONTOSO, "+33123456789", "carrier=0033123456789"),
        ("no tenant: no country",      TEAMS, EDGE, "02079460000", "carrier"),
    ]);
    let Decision::To(choice) = routing.route(Query::new(TEAMS, CONTOSO.as_bytes(), b"0207")) else { panic!() };
    assert_eq!(choice.ways[0].calling, Form::E164NoPlus);
    assert!(matches!(choice.matched, Matched::Route(route) if &*route.prefix == "0"));
}

#[test]
fn rules_that_nearly_matched_are_shown() {
    let routing = routing(parts());
    let explained = routing.explain(Query::new(CARRIER, EDGE.as_bytes(), b"+441632768501"));
    assert!(explained.near.iter().any(|near| near.rule.prefix == "+44163276840"), "{:#?}", explained.near);
    let json = serde_json::to_value(&explained).unwrap();
    assert_eq!(json["decision"], "refused");
    assert_eq!((&json["reason"], &json["code"]), (&"no_rule".into(), &404.into()));
    let explained = routing.explain(Query::new(CARRIER, EDGE.as_bytes(), b"+44171"));
    let json = serde_json::to_value(&explained).unwrap();
    assert_eq!((&json["decision"], &json["rule"]["kind"]), (&"to".into(), &"plan".into()));
    assert_eq!((&json["rule"]["prefix"], &json["rule"]["tag"]), (&"+4417".into(), &CONTOSO.into()));
    assert_eq!((&json["ways"][0]["trunk"], &json["ways"][0]["called"]), (&"teams".into(), &"+44171".into()));
}
