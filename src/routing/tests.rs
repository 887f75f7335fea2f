//! Tests of the table as a whole: longest prefix against a naive search, and the order of the rules.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const TEAMS: TrunkId = TrunkId(0);
const PBX: TrunkId = TrunkId(1);
const CARRIER_A: TrunkId = TrunkId(2);
const CARRIER_B: TrunkId = TrunkId(3);
const OTHER_TEAMS: TrunkId = TrunkId(4);

fn plan_of(rules: &[(&str, &str)], resolve: impl Fn(&str) -> Option<Destination>) -> (Plan, Vec<Conflict>) {
    let mut set = Rules::new(1_000_000);
    for (origin, (prefix, tag)) in (0..).zip(rules) {
        set.add(prefix, tag, origin).unwrap();
    }
    Plan::new("plan".into(), set, resolve)
}

fn tag<'a>(plan: &'a Plan, user: &str) -> Option<&'a str> {
    plan.find(user.as_bytes()).map(|found| found.tag)
}

#[test]
fn longest_prefix_wins_and_separators_do_not_count() {
    let (plan, conflicts) = plan_of(
        &[("+44", "a"), ("+4416", "b"), ("+44163276", "c"), ("44", "d"), ("*", "e"), ("#31", "f"), ("5755", "g")],
        |_| None,
    );
    assert_eq!(conflicts, []);
    for (user, expected) in [
        ("+441632760001", Some("c")),
        ("+44-1632-75.00(01)", Some("b")),
        ("+4420", Some("a")),
        ("+4", None),
        ("4420", Some("d")),
        ("*21", Some("e")),
        ("%23310", Some("f")),
        ("5755;ext=1", Some("g")),
        ("", None),
        ("anna", None),
    ] {
        assert_eq!(tag(&plan, user), expected, "{user}");
    }
    assert_eq!(plan.find(b"+44 1").unwrap().symbols, 3);
}

#[test]
fn range_keeps_its_width_and_yields_to_a_literal() {
    let (plan, conflicts) =
        plan_of(&[("551136184[4000-9999]", "range"), ("5511361844000", "one"), ("+4[05-07]9", "tail")], |_| None);
    assert_eq!(conflicts, []);
    assert_eq!(plan.len(), 3, "a range is one rule");
    for (user, expected) in [
        ("5511361844000", Some("one")),
        ("5511361844001", Some("range")),
        ("5511361849999", Some("range")),
        ("5511361843999", None),
        ("551136184400", None),
        ("+4069", Some("tail")),
        ("+469", None),
    ] {
        assert_eq!(tag(&plan, user), expected, "{user}");
    }
}

#[test]
fn prefix_that_cannot_be_read_is_refused() {
    let mut rules = Rules::new(2);
    for (prefix, error) in [
        ("+44?", PrefixError::Character('?')),
        ("+4 4", PrefixError::Character(' ')),
        ("[9-1]", PrefixError::Range),
        ("[21-12]", PrefixError::Range),
        ("[01-1]", PrefixError::Range),
        ("[1-2", PrefixError::Range),
        ("[12]", PrefixError::Range),
        ("[-]", PrefixError::Range),
        ("[1,+]", PrefixError::Set),
        ("[1,23]", PrefixError::Set),
        ("44\\", PrefixError::Escape),
        ("user[1-2].host", PrefixError::Identity),
        (&"a".repeat(256), PrefixError::Identity),
        (&"1".repeat(65), PrefixError::TooLong),
        (&"x".repeat(65), PrefixError::TooLong),
    ] {
        assert_eq!(rules.add(prefix, "tag", 0), Err(error), "{prefix}");
    }
    assert!(rules.is_empty());
    assert_eq!(rules.add(&"1".repeat(64), "tag", 0), Ok(true));
    assert_eq!(rules.add("2", "tag", 0), Ok(false));
    assert_eq!(rules.add("3", "tag", 0), Err(PrefixError::Full(2)));
}

#[test]
fn same_prefix_with_another_destination_is_a_conflict() {
    let resolve = |tag: &str| match tag {
        "a" | "A" => Some(Destination::Trunk(PBX)),
        "b" => Some(Destination::Trunk(CARRIER_A)),
        _ => None,
    };
    let (plan, conflicts) = plan_of(
        &[
            ("1", "a"),
            ("2", "a"),
            ("1", "b"),
            ("2", "A"),
            ("3", "x"),
            ("3", "y"),
            ("4[0-9]", "a"),
            ("4[5-9]", "b"),
            ("5[00-19]", "a"),
            ("5[0,1]x", "b"),
            ("5[0-1][0-9]", "b"),
        ],
        resolve,
    );
    let expected =
        [Conflict { kept: 8, dropped: 10 }, Conflict { kept: 0, dropped: 2 }, Conflict { kept: 4, dropped: 5 }];
    assert_eq!(conflicts, expected);
    assert_eq!(tag(&plan, "1"), Some("a"), "the first stays");
    assert_eq!(tag(&plan, "47"), Some("b"), "the narrower range wins");
}

proptest! {
    #[test]
    fn trie_finds_what_a_naive_search_finds(
        rules in prop::collection::btree_map("[0-3+*#]{1,6}", 0_u32..9, 0..60),
        numbers in prop::collection::vec("[0-3+*#]{0,9}", 1..40),
    ) {
        let mut set = Rules::new(1_000);
        for (prefix, value) in &rules {
            // At the end it would say that nothing may follow.
            set.add(&prefix.replace('#', "\\#"), &value.to_string(), 0).unwrap();
        }
        let (plan, conflicts) = Plan::new("plan".into(), set, |_| None);
        prop_assert_eq!(conflicts, []);
        for number in &numbers {
            // `#` must be escaped in a URI, but is read when it is not.
            prop_assert_eq!(
                plan.find(number.as_bytes()).map(|found| (found.symbols, found.tag.to_owned())),
                naive(&rules, number)
            );
        }
    }
}

fn naive(rules: &BTreeMap<String, u32>, number: &str) -> Option<(usize, String)> {
    rules
        .iter()
        .filter(|(prefix, _)| number.starts_with(prefix.as_str()))
        .max_by_key(|(prefix, _)| prefix.len())
        .map(|(prefix, value)| (prefix.len(), value.to_string()))
}

#[test]
fn hundred_thousand_rules_pack_small_and_answer_right() {
    let mut rules = Rules::new(100_000);
    for number in 0..100_000_u32 {
        rules.add(&format!("+44163{number:07}"), if number % 2 == 0 { "even" } else { "odd" }, number).unwrap();
    }
    let (plan, conflicts) = Plan::new("plan".into(), rules, |_| None);
    assert_eq!(conflicts, []);
    assert_eq!(tag(&plan, "+441630012346"), Some("even"));
    assert_eq!(tag(&plan, "+441630012347"), Some("odd"));
    assert_eq!(tag(&plan, "+441630100000"), None);
    assert!(plan.bytes() < 100_000 * 16, "{} bytes", plan.bytes());
}

/// Two tenants, one dial plan for the PBX and carrier A, routes with and without `from`.
fn routing() -> Routing {
    let site = |owner, tenant: &str, trunk| Site {
        tenant: tenant.into(),
        owner: TenantId(owner),
        fqdn: format!("{tenant}.customers.example.net").into(),
        teams: TEAMS,
        trunk,
        pbx: (trunk == PBX).then_some(PBX),
        hairpin: false,
        limits: None,
    };
    let sites = Sites::new(vec![site(0, "contoso", PBX), site(1, "fabrikam", CARRIER_B)]);
    let resolve = |tag: &str| match tag {
        "pbx" => Some(Destination::Trunk(PBX)),
        host => sites.find(host.as_bytes()).map(Destination::Site),
    };
    let (plan, _) = plan_of(
        &[
            ("+44163276", "Contoso.Customers.Example.net"),
            ("+44163277", "fabrikam.customers.example.net"),
            ("+441632769", "pbx"),
        ],
        resolve,
    );
    let origin = |name: &str, kind, plan| Origin { plan, ..Origin::new(name, kind, "sbc.example.net") };
    let origins = vec![
        origin("teams", TrunkKind::Teams, None),
        origin("pbx", TrunkKind::Pbx, Some(0)),
        origin("carrier-a", TrunkKind::Carrier, Some(0)),
        origin("carrier-b", TrunkKind::Carrier, None),
        origin("other-teams", TrunkKind::Teams, None),
    ];
    let route = |from, prefix: &str, to: &[TrunkId]| Route::serial(from, prefix, to);
    let routes = vec![
        route(Some(TEAMS), "+44", &[CARRIER_A, CARRIER_B]),
        route(Some(TEAMS), "+4420", &[CARRIER_B]),
        route(None, "+44207", &[CARRIER_A, CARRIER_B]),
        route(None, "+1", &[CARRIER_A, CARRIER_B]),
        route(None, "+1900", &[CARRIER_A]),
        route(Some(CARRIER_B), "+1999", &[CARRIER_B]),
        Route { hairpin: true, ..route(Some(CARRIER_B), "+1998", &[CARRIER_B]) },
        route(None, "+1777", &[PBX, CARRIER_B]),
    ];
    let (routing, conflicts) =
        Routing::new(Parts { sites, plans: vec![plan], origins, routes, ..Parts::default() }).unwrap();
    assert_eq!(conflicts, []);
    routing
}

#[test]
fn rules_are_tried_in_their_order() {
    let routing = routing();
    const CONTOSO: &str = "contoso.customers.example.net";
    const FABRIKAM: &str = "fabrikam.customers.example.net";
    type Row<'a> = (&'a str, TrunkId, &'a str, &'a str, Result<(&'a [TrunkId], Option<&'a str>), NoRoute>);
    #[rustfmt::skip]
    let rows: &[Row] = &[
        ("Teams: route that names the trunk",     TEAMS, CONTOSO, "+44161", Ok((&[CARRIER_A, CARRIER_B], Some(CONTOSO)))),
        ("Teams: the longer of two",              TEAMS, CONTOSO, "+44201", Ok((&[CARRIER_B], Some(CONTOSO)))),
        ("Teams: named before a longer one",      TEAMS, CONTOSO, "+442071", Ok((&[CARRIER_B], Some(CONTOSO)))),
        ("Teams: route for any trunk",            TEAMS, CONTOSO, "+1212", Ok((&[CARRIER_A, CARRIER_B], Some(CONTOSO)))),
        ("Teams: the site's own trunk",           TEAMS, CONTOSO, "+33", Ok((&[PBX], Some(CONTOSO)))),
        ("Teams: another site's own trunk",       TEAMS, FABRIKAM, "5755", Ok((&[CARRIER_B], Some(FABRIKAM)))),
        ("Teams: host in any case, with a dot",   TEAMS, "CONTOSO.customers.example.NET.", "5755", Ok((&[PBX], Some(CONTOSO)))),
        ("Teams: the edge's own name",            TEAMS, "sbc.example.net", "+44161", Ok((&[CARRIER_A, CARRIER_B], None))),
        ("Teams: own name, but no rule",          TEAMS, "sbc.example.net", "+33", Err(NoRoute::NoRule)),
        ("Teams: unknown host",                   TEAMS, "evil.example.com", "+44161", Err(NoRoute::UnknownHost)),
        ("Teams: host too long for a name",       TEAMS, &"x".repeat(300), "+44161", Err(NoRoute::UnknownHost)),
        ("Teams: site of another Teams trunk",    OTHER_TEAMS, CONTOSO, "+44161", Err(NoRoute::UnknownHost)),
        ("PBX: tag is a site",                    PBX, "10.0.0.1", "+441632771", Ok((&[TEAMS], Some(FABRIKAM)))),
        ("PBX: tag in another case",              PBX, "10.0.0.1", "+441632761", Ok((&[TEAMS], Some(CONTOSO)))),
        ("PBX: tag is itself: a loop",            PBX, "10.0.0.1", "+441632769", Err(NoRoute::Loop)),
        ("carrier: the same tag",                 CARRIER_A, "10.0.0.1", "+441632769", Ok((&[PBX], None))),
        ("PBX: no rule, route for any",           PBX, "10.0.0.1", "+1212", Ok((&[CARRIER_A, CARRIER_B], None))),
        ("PBX: routes of Teams are not its own",  PBX, "10.0.0.1", "+44161", Err(NoRoute::Forbidden)),
        ("PBX: nobody's number",                  PBX, "10.0.0.1", "+33161", Err(NoRoute::NoRule)),
        ("PBX: itself is passed over",            PBX, "10.0.0.1", "+1777", Ok((&[CARRIER_B], None))),
        ("carrier: another only when named",      CARRIER_A, "10.0.0.1", "+1212", Err(NoRoute::Forbidden)),
        ("carrier: nothing else, no shorter one", CARRIER_A, "10.0.0.1", "+1900", Err(NoRoute::Loop)),
        ("carrier: not back by being named",      CARRIER_B, "10.0.0.1", "+1999", Err(NoRoute::Loop)),
        ("carrier: back by hairpin",              CARRIER_B, "10.0.0.1", "+1998", Ok((&[CARRIER_B], None))),
        ("carrier: no plan, but Teams has a route", CARRIER_B, "10.0.0.1", "+441632761", Err(NoRoute::Forbidden)),
        ("no such trunk",                         TrunkId(99), "10.0.0.1", "+1", Err(NoRoute::UnknownTrunk)),
    ];
    for (what, from, host, user, expected) in rows {
        let query = Query::new(*from, host.as_bytes(), user.as_bytes());
        let decision = match routing.route(query) {
            Decision::To(choice) => Ok((
                choice.ways.iter().map(|way| way.trunk).collect::<Vec<_>>(),
                choice.site.map(|site| site.fqdn.to_string()),
            )),
            Decision::NoRoute(refused) => Err(refused.why),
        };
        let expected = expected.map(|(trunks, site)| (trunks.to_vec(), site.map(str::to_owned)));
        assert_eq!(decision, expected, "{what}");
        let explained = routing.explain(query);
        assert_eq!(explained.refused, decision.as_ref().err().map(ToString::to_string), "{what}");
        assert_eq!(explained.to.len(), decision.map_or(0, |(trunks, _)| trunks.len()), "{what}");
    }
}

#[test]
fn change_at_run_time_is_seen_by_the_next_call_and_not_by_the_last() {
    let routing = routing();
    let mut ledger = Ledger::new(Bounds { records: 10, rules: 1000, users: 1000 });
    let site = |routing: &Routing, number: &str| {
        let query = Query::new(CARRIER_A, b"", number.as_bytes());
        routing.explain(query).site.unwrap_or_default()
    };
    let put = |tag: &str, prefix: &str| {
        let (plan, tag, prefix) = ("plan".to_owned(), tag.to_owned(), prefix.to_owned());
        Edit::Put { plan, prefix, owner: "fabrikam".to_owned(), tag, active: true }
    };
    let batch = |id: &str, edits| Batch { id: id.to_owned(), who: "admin".to_owned(), when: 0, edits };
    const FABRIKAM: &str = "fabrikam.customers.example.net";
    let moved = batch("move", vec![put(FABRIKAM, "+4416327600[00-49]")]);
    let Ok(Outcome::Made(next, record)) = routing.apply(&ledger, &moved) else { panic!() };
    ledger.remember(record);
    assert_eq!(site(&next, "+441632760049"), FABRIKAM);
    assert_eq!(site(&next, "+441632760050"), "contoso.customers.example.net");
    assert_eq!(site(&routing, "+441632760049"), "contoso.customers.example.net", "who has the old one keeps it");
    let Ok(Outcome::Made(back, _)) = next.revert(&ledger, "move", &batch("back", vec![])) else { panic!() };
    assert_eq!(site(&back, "+441632760049"), "contoso.customers.example.net");
    let unknown = batch("x", vec![put("nobody", "1")]);
    assert_eq!(routing.apply(&ledger, &unknown).unwrap_err(), BatchError::UnknownTag("nobody".to_owned()));
    assert_eq!(routing.apply(&ledger, &batch("", vec![])).unwrap_err(), BatchError::NoId);
}

#[test]
fn matched_rule_is_told() {
    let routing = routing();
    let matched = |from, host: &[u8], user: &[u8]| match routing.route(Query::new(from, host, user)) {
        Decision::To(choice) => format!("{:?}", choice.matched),
        Decision::NoRoute(refused) => refused.why.to_string(),
    };
    assert_eq!(
        matched(PBX, b"", b"+441632761"),
        r#"Plan { plan: "plan", tag: "Contoso.Customers.Example.net", symbols: 9 }"#
    );
    assert_eq!(matched(TEAMS, b"contoso.customers.example.net", b"5"), "SiteTrunk");
    assert!(matched(TEAMS, b"contoso.customers.example.net", b"+4420").contains(r#"prefix: "+4420""#));
}

#[test]
fn explanation_tells_every_step() {
    let explained = routing().explain(Query::new(PBX, b"x", b"+1-777"));
    assert_eq!(explained.number, "+1777");
    assert_eq!(
        explained.steps.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "dial plan `plan` has no prefix of the number",
            "no route from `pbx` takes the number",
            "route from any trunk, longest prefix `+1777`, to `pbx`, then `carrier-b`",
            "`pbx` is where the request came from: passed over",
        ]
    );
    assert_eq!(explained.to, ["carrier-b"]);
}

#[test]
fn same_route_twice_is_a_conflict_and_a_bad_prefix_an_error() {
    let route = |prefix: &str| Route::serial(None, prefix, &[PBX]);
    let make = |routes| Routing::new(Parts { routes, ..Parts::default() });
    let (_, conflicts) = make(vec![route("+4"), route(""), route("+4")]).unwrap();
    assert_eq!(conflicts, [Conflict { kept: 0, dropped: 2 }]);
    let open = Window { days: EVERY_DAY, from: 0, to: 1440, zone: jiff::tz::TimeZone::UTC };
    let at_times = |prefix: &str| Route { windows: vec![open.clone()], ..route(prefix) };
    let (_, conflicts) = make(vec![at_times("1[10-19]"), route("11x"), route("11[0-9]"), at_times("11[0-9]")]).unwrap();
    assert_eq!(conflicts, [Conflict { kept: 2, dropped: 3 }], "behind one that is always open");
    assert_eq!(make(vec![route("+4"), route("4?")]).unwrap_err(), (1, PrefixError::Character('?')));
}
