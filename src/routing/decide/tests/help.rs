//! Calls for help and to service numbers.

use super::super::super::{Decision, Emergency, Parts, Query, Route, Tenants};
use super::check;
use super::world::*;

fn with_wishes() -> Parts {
    let mut tenant = contoso();
    tenant.emergency = vec![SECOND, HELP];
    tenant.service = vec![SECOND];
    let mut parts = parts();
    parts.tenants = Tenants::new(vec![tenant, fabrikam(), northwind(), gone()]);
    parts
}

#[test]
fn help_comes_by_the_tenants_trunks_then_the_operators_then_a_rule_then_as_other_calls() {
    #[rustfmt::skip]
    check(&routing(with_wishes()), &[
        ("the tenant's trunks",          TEAMS, CONTOSO, "112", "second, help"),
        ("with a plus",                  TEAMS, CONTOSO, "+112", "second, help"),
        ("from its PBX",                 PBX, EDGE, "999", "second, help"),
        ("another tenant: a rule",       TEAMS, FABRIKAM, "999", "help"),
        ("a rule, with a plus",          TEAMS, FABRIKAM, "+999", "help"),
        ("no rule: the own carrier",     TEAMS, FABRIKAM, "+112", "own-f"),
        ("a longer number is no help",   TEAMS, FABRIKAM, "9991", "own-f"),
        ("a service number",             TEAMS, CONTOSO, "123", "second"),
        ("with a plus",                  PBX, EDGE, "+123", "second"),
        ("no service number there",      TEAMS, FABRIKAM, "123", "own-f"),
        ("from a shared carrier: not",   CARRIER, CONTOSO, "112", "!no_rule"),
    ]);
    let mut parts = with_wishes();
    parts.emergency.to = vec![HELP, OWN_CARRIER];
    let all = routing(parts);
    #[rustfmt::skip]
    check(&all, &[
        ("the tenant's come first",      TEAMS, CONTOSO, "112", "second, help"),
        ("the operator's",               TEAMS, FABRIKAM, "112", "help, own-f"),
        ("not another's carrier",        TEAMS, NORTHWIND, "112", "help"),
        ("own carrier: not back",        OWN_CARRIER, EDGE, "112", "help"),
        ("a PBX of nobody known",        SHARED_PBX, EDGE, "911", "help"),
        ("the same, with a plus",        SHARED_PBX, EDGE, "+911", "help"),
        ("Teams, no tenant",             TEAMS, EDGE, "911", "help"),
        ("PBX of a removed tenant",      OLD_PBX, EDGE, "112", "help"),
        ("a carrier of nobody known",    CARRIER, EDGE, "911", "!no_rule"),
    ]);
}

#[test]
fn help_is_marked_as_such_whichever_way_it_goes() {
    let mut parts = with_wishes();
    parts.routes = vec![Route::serial(Some(TEAMS), "", &[CARRIER, SECOND])];
    let routing = routing(parts);
    for (host, user, emergency) in [
        (CONTOSO, "112", true),
        (FABRIKAM, "+999", true),
        (NORTHWIND, "112", true),
        (EDGE, "911", true),
        (CONTOSO, "123", false),
        (NORTHWIND, "911", false),
    ] {
        let Decision::To(choice) = routing.route(Query::new(TEAMS, host.as_bytes(), user.as_bytes())) else { panic!() };
        assert_eq!(choice.emergency, emergency, "{host} {user}");
    }
}

#[test]
fn rule_for_help_of_another_tenant_is_passed_over() {
    let mut parts = parts_with(&[("999", FABRIKAM, "")], vec![contoso(), fabrikam(), northwind(), gone()]);
    parts.emergency = Emergency::default();
    check(
        &routing(parts),
        &[("its own", TEAMS, FABRIKAM, "999", "own-f"), ("another's", TEAMS, CONTOSO, "999", "carrier")],
    );
}
