//! Who is called, and on which side: users, ranges, rules of the dial plan, other tenants.

use super::super::super::number::{Form, Number};
use super::super::super::people::Lives;
use super::super::super::{Anonymous, Caller, Decision, Query, RuleShown, Tenants};
use super::world::*;
use super::{check, went};

#[test]
fn users_ring_where_they_live() {
    let routing = routing(parts());
    #[rustfmt::skip]
    check(&routing, &[
        ("Teams: a PBX user",                   TEAMS, CONTOSO, "+441632768402", "pbx"),
        ("Teams: the same by extension",        TEAMS, CONTOSO, "402", "pbx"),
        ("Teams: as Teams writes extensions",   TEAMS, CONTOSO, "+402", "pbx=402"),
        ("Teams: a user in both",               TEAMS, CONTOSO, "+441632768403", "pbx"),
        ("Teams: a Teams user",                 TEAMS, CONTOSO, "+441632768401", "!loop"),
        ("Teams: the other tenant's 401",       TEAMS, FABRIKAM, "401", "pbx-f"),
        ("Teams: host in any case",             TEAMS, "Contoso.Example.NET.", "402", "pbx"),
        ("carrier: a Teams user",               CARRIER, EDGE, "+441632768401", "teams"),
        ("carrier: a PBX user",                 CARRIER, EDGE, "+441632768402", "pbx"),
        ("carrier: both, Teams later",          CARRIER, EDGE, "+441632768403", "pbx, teams~5"),
        ("carrier: by host, by extension",      CARRIER, CONTOSO, "401", "teams=+441632768401;ext=401"),
        ("carrier: by host, nationally",        CARRIER, CONTOSO, "01632768401", "teams=+441632768401"),
        ("carrier: no tenant, no extension",    CARRIER, EDGE, "401", "!no_rule"),
        ("carrier: a Teams extension alone",    CARRIER, CONTOSO, "420", "teams=+420"),
        ("PBX: a Teams user by extension",      PBX, EDGE, "401", "teams=+441632768401;ext=401"),
        ("PBX: both, it rang itself",           PBX, EDGE, "403", "teams=+441632768403;ext=403"),
        ("PBX: its own user",                   PBX, EDGE, "402", "!loop"),
        ("other PBX: its own 402 is in Teams",  OTHER_PBX, EDGE, "402", "teams=+441632769902;ext=402"),
        ("own carrier: its tenant's user",      OWN_CARRIER, EDGE, "+441632769903", "pbx-f, teams~9"),
        ("own carrier: not another tenant's",   OWN_CARRIER, EDGE, "+441632768402", "!no_rule"),
        ("PBX: host of another tenant",         PBX, FABRIKAM, "401", "!forbidden"),
        ("shared PBX: host says who it is",     SHARED_PBX, FABRIKAM, "402", "teams=+441632769902;ext=402"),
        ("shared PBX: the plan says it",        SHARED_PBX, EDGE, "+441632769901", "pbx-f"),
    ]);
}

#[test]
fn teams_users_of_one_tenant_meet_by_hairpin_only() {
    let mut parts = parts();
    let mut list = sites();
    list[0].hairpin = true;
    parts.sites = super::super::super::Sites::new(list);
    let routing = routing(parts);
    check(
        &routing,
        &[
            ("hairpin", TEAMS, CONTOSO, "401", "teams=+441632768401;ext=401"),
            ("both: the PBX alone, Teams has rung its own", TEAMS, CONTOSO, "403", "pbx"),
        ],
    );
    let Decision::To(choice) = routing.route(Query::new(TEAMS, CONTOSO.as_bytes(), b"401")) else { panic!() };
    assert_eq!(choice.site.map(|site| &*site.fqdn), Some(CONTOSO));
    assert_eq!(choice.far_site.map(|site| &*site.fqdn), Some(CONTOSO));
}

#[test]
fn number_of_several_users_goes_to_main() {
    let rows = [
        ("main is on the PBX", CARRIER, EDGE, "+441632768410;ext=410", "teams"),
        ("one of them is meant", CARRIER, CONTOSO, "411", "teams=+441632768410;ext=411"),
        ("nobody is meant", CARRIER, CONTOSO, "+441632768410", "pbx=+441632768400;ext=400"),
        ("from Teams too", TEAMS, CONTOSO, "+441632768410", "pbx=+441632768400;ext=400"),
        ("main is where the call came from", PBX, EDGE, "+441632768410", "!loop"),
    ];
    // The first number is in no rule but in the range: the host has to say whose it is.
    let mut all = parts();
    let mut rules = RULES.to_vec();
    rules.push(("+44163276841", CONTOSO, ""));
    all.plans = parts_with(&rules, Vec::new()).plans;
    let all = routing(all);
    check(&all, &rows);
    let query = Query::new(CARRIER, CONTOSO.as_bytes(), b"+441632768410");
    let Decision::To(choice) = all.route(query) else { panic!() };
    assert!(choice.noted.ambiguous && !choice.noted.unassigned);
    let mut tenant = contoso();
    tenant.numbering = numbering();
    let mut without = parts();
    without.tenants = Tenants::new(vec![tenant, fabrikam(), northwind(), gone()]);
    check(&routing(without), &[("no main", TEAMS, CONTOSO, "+441632768410", "!ambiguous")]);
}

#[test]
fn number_of_nobody_is_refused_or_goes_to_the_tenants_destination() {
    let plain = routing(parts());
    #[rustfmt::skip]
    check(&plain, &[
        ("in the range",                       TEAMS, CONTOSO, "+441632768499", "!unassigned"),
        ("in the extensions",                  TEAMS, CONTOSO, "499", "!unassigned"),
        ("from the carrier, by the plan",      CARRIER, EDGE, "+441632768409", "!unassigned"),
        ("no users: extensions are the PBX's", TEAMS, NORTHWIND, "499", "second"),
        ("from the PBX",                       PBX, EDGE, "+441632768499", "!unassigned"),
    ]);
    let with = |unassigned: &str| {
        let mut tenant = contoso();
        tenant.unassigned = Some(Number::parse(unassigned, &tenant.numbering));
        let mut parts = parts();
        parts.tenants = Tenants::new(vec![tenant, fabrikam(), northwind(), gone()]);
        routing(parts)
    };
    let row = |expected| [("unassigned", CARRIER, CONTOSO, "+441632768499", expected)];
    check(&with("+441632768401"), &row("teams=+441632768401;ext=401"));
    check(&with("402"), &row("pbx=+441632768402;ext=402"));
    check(&with("+441632768455"), &row("pbx=+441632768455"));
    check(&with("help@contoso.example"), &row("pbx=help"));
    check(&with("+441771"), &row("pbx=+441771"));
    check(&with("+441709"), &row("teams=+441709"));
    let routing = with("402");
    let query = Query::new(CARRIER, CONTOSO.as_bytes(), b"499");
    let Decision::To(choice) = routing.route(query) else { panic!() };
    assert!(choice.noted.unassigned && !choice.noted.ambiguous);
    let change = routing.explain(query).steps.into_iter().find(|step| step.before.is_some()).unwrap();
    assert_eq!((change.before.as_deref(), change.after.as_deref()), (Some("499"), Some("402")));
}

#[test]
fn extensions_of_a_tenant_without_users_are_the_pbxs() {
    let mut tenant = contoso();
    tenant = tenant.with_users(Vec::new());
    let mut parts = parts();
    parts.tenants = Tenants::new(vec![tenant, fabrikam(), northwind(), gone()]);
    check(
        &routing(parts),
        &[
            ("from Teams", TEAMS, CONTOSO, "402", "pbx"),
            ("from the carrier", CARRIER, CONTOSO, "402", "pbx"),
            ("from the PBX itself", PBX, EDGE, "402", "teams"),
            ("a number in the range is nobody's all the same", TEAMS, CONTOSO, "+441632768402", "!unassigned"),
        ],
    );
}

#[test]
fn rules_of_the_dial_plan_keep_calls_inside() {
    let routing = routing(parts());
    #[rustfmt::skip]
    check(&routing, &[
        ("Teams: a site of the tenant",        TEAMS, CONTOSO, "+4417", "pbx"),
        ("Teams: the tenant's own trunk",      TEAMS, CONTOSO, "+44177", "pbx"),
        ("Teams: the site's shared carrier",   TEAMS, CONTOSO, "+44178", "carrier"),
        ("Teams: a shared trunk leads out",    TEAMS, CONTOSO, "+44179", "carrier"),
        ("Teams: the tenant owns the rule",    TEAMS, CONTOSO, "+441790", "second"),
        ("Teams: another's; a wider own one",  TEAMS, CONTOSO, "+44176", "pbx"),
        ("Teams: another tenant's trunk",      TEAMS, CONTOSO, "+44181", "carrier"),
        ("carrier: the Teams side",            CARRIER, EDGE, "+44171", "teams"),
        ("carrier: a PBX",                     SECOND, EDGE, "+44177", "pbx"),
        ("carrier: another carrier by a rule", SECOND, EDGE, "+44178", "carrier"),
        ("carrier: back",                      CARRIER, EDGE, "+44178", "!loop"),
        ("carrier: a removed tenant",          CARRIER, EDGE, "+441632721", "!no_rule"),
        ("carrier: a tag that leads nowhere",  CARRIER, EDGE, "+33851", "!no_rule"),
        ("carrier: too short",                 CARRIER, EDGE, "+4416327", "!incomplete"),
        ("PBX: another tenant's PBX",          PBX, EDGE, "+44181", "carrier"),
        ("PBX: another's; a wider own one",    PBX, EDGE, "+44176", "teams"),
        ("by host, nothing known: Teams",      CARRIER, NORTHWIND, "+331234567", "teams"),
        ("by host, users known: the plan",     CARRIER, CONTOSO, "+33851", "!no_rule"),
        ("by host, pinned: not another's",     CARRIER, CONTOSO, "+441632769901", "!no_rule"),
        ("by host of a removed tenant",        CARRIER, GONE, "+34", "!no_rule"),
        ("Teams: site of a removed tenant",    TEAMS, GONE, "+441632768402", "!unknown_host"),
        ("PBX of a removed tenant",            OLD_PBX, EDGE, "+44171", "!forbidden"),
    ]);
    let forbidden = Query::new(CARRIER, CONTOSO.as_bytes(), b"+441632719912");
    assert_eq!(went(&routing, forbidden), "!forbidden", "another tenant's PBX, the tenant is pinned");
}

#[test]
fn session_has_the_tenant_and_the_sites_of_both_legs() {
    let routing = routing(parts());
    for (from, host, user, tenant, site, far) in [
        (TEAMS, CONTOSO, "402", Some("contoso"), Some(CONTOSO), None),
        (CARRIER, EDGE, "+441632769902", Some("fabrikam"), Some(FABRIKAM), Some(FABRIKAM)),
        (CARRIER, EDGE, "+441632769901", Some("fabrikam"), Some(FABRIKAM), None),
        (PBX, EDGE, "401", Some("contoso"), Some(CONTOSO), Some(CONTOSO)),
        (CARRIER, EDGE, "+44177", Some("contoso"), None, None),
    ] {
        let Decision::To(choice) = routing.route(Query::new(from, host.as_bytes(), user.as_bytes())) else { panic!() };
        let shown = |site: Option<&std::sync::Arc<super::super::Site>>| site.map(|site| site.fqdn.to_string());
        assert_eq!(choice.tenant.map(|tenant| &*tenant.id), tenant, "{user}");
        assert_eq!((shown(choice.site).as_deref(), shown(choice.far_site).as_deref()), (site, far), "{user}");
    }
}

#[test]
fn calls_stay_between_tenants_that_both_say_so() {
    let with = |a: bool, b: bool| {
        let (mut contoso, mut fabrikam) = (contoso(), fabrikam());
        (contoso.between_tenants, fabrikam.between_tenants) = (a, b);
        routing(parts_with(RULES, vec![contoso, fabrikam, northwind(), gone()]))
    };
    for one in [with(true, false), with(false, true)] {
        check(
            &one,
            &[
                ("only one says so: it leaves", TEAMS, CONTOSO, "+441632769902", "carrier"),
                ("from the PBX: it leaves", PBX, EDGE, "+441632769902", "carrier"),
                ("the other way", TEAMS, FABRIKAM, "+441632768402", "own-f"),
            ],
        );
    }
    let both = with(true, true);
    #[rustfmt::skip]
    check(&both, &[
        ("Teams to Teams",              TEAMS, CONTOSO, "+441632769902", "teams"),
        ("Teams to a PBX user",         TEAMS, CONTOSO, "+441632769901", "pbx-f"),
        ("Teams to one in both",        TEAMS, CONTOSO, "+441632769903", "pbx-f, teams~9"),
        ("to nobody's number",          TEAMS, CONTOSO, "+441632769999", "!unassigned"),
        ("to no user's, by the rule",   TEAMS, CONTOSO, "+44176", "teams"),
        ("to the other's trunk",        TEAMS, CONTOSO, "+44181", "pbx-f"),
        ("PBX to the other's Teams",    PBX, EDGE, "+441632769902", "teams"),
        ("PBX to the other's PBX",      PBX, EDGE, "+44181", "pbx-f"),
        ("not for the third",           TEAMS, NORTHWIND, "+441632769902", "second"),
    ]);
    let Decision::To(choice) = both.route(Query::new(TEAMS, CONTOSO.as_bytes(), b"+441632769902")) else { panic!() };
    assert_eq!(choice.tenant.map(|tenant| &*tenant.id), Some("contoso"));
    assert_eq!(choice.site.map(|site| &*site.fqdn), Some(CONTOSO));
    assert_eq!(choice.far_site.map(|site| &*site.fqdn), Some(FABRIKAM));
}

#[test]
fn anonymous_callers_are_refused_where_the_tenant_wants_to_see_a_number() {
    let mut tenant = contoso();
    tenant.anonymous = Anonymous::Refuse;
    let routing = routing(parts_with(RULES, vec![tenant, fabrikam(), northwind(), gone()]));
    let hidden = Caller::default();
    let asserted = Caller { from: None, asserted: Some("+33123456789") };
    for (what, from, host, user, caller, expected) in [
        ("the plan says whose number it is", CARRIER, EDGE, "+441632768401", hidden, "!anonymous"),
        ("the host says it", CARRIER, CONTOSO, "+441632768401", hidden, "!anonymous"),
        ("from Teams", TEAMS, CONTOSO, "+331234567", hidden, "!anonymous"),
        ("asserted", CARRIER, EDGE, "+441632768401", asserted, "teams"),
        ("another tenant", CARRIER, EDGE, "+441632769902", hidden, "teams"),
        ("for help", TEAMS, CONTOSO, "+999", hidden, "help"),
        ("for help without a rule", TEAMS, CONTOSO, "112", hidden, "carrier"),
    ] {
        let query = Query { caller: &caller, ..Query::new(from, host.as_bytes(), user.as_bytes()) };
        assert_eq!(went(&routing, query), expected, "{what}");
    }
}

#[test]
fn numbers_are_written_as_each_far_side_wants_them() {
    let with = |form: Form| {
        let mut parts = parts();
        parts.origins[usize::from(PBX.0)].called = form;
        routing(parts)
    };
    for (form, by_number, by_extension) in [
        (Form::AsIs, "pbx", "pbx=402"),
        (Form::E164, "pbx", "pbx=+441632768402;ext=402"),
        (Form::E164NoPlus, "pbx=441632768402", "pbx=441632768402"),
        (Form::Dialled, "pbx=01632768402", "pbx=01632768402"),
        (Form::Extension, "pbx=402", "pbx=402"),
    ] {
        check(
            &with(form),
            &[
                ("by number", CARRIER, EDGE, "+441632768402", by_number),
                ("by number, from Teams", TEAMS, CONTOSO, "+441632768402", by_number),
                ("by extension as Teams writes it", TEAMS, CONTOSO, "+402", by_extension),
            ],
        );
    }
    let extension = with(Form::Extension);
    let query = Query::new(TEAMS, CONTOSO.as_bytes(), b"+402");
    let explained = extension.explain(query);
    assert_eq!(explained.ways[0].called, "402");
    assert_eq!(explained.steps.last().unwrap().to_string(), "written for `pbx`: `+402` becomes `402`");
    assert_eq!(extension.explain(query).rule, Some(RuleShown::User { id: "ben".to_owned() }));
    let Decision::To(choice) = extension.route(Query::new(CARRIER, EDGE.as_bytes(), b"+441632768401")) else {
        panic!()
    };
    assert_eq!(choice.ways[0].calling, Form::E164, "Teams wants callers so");
}

#[test]
fn user_without_a_side_to_ring_is_not_lost() {
    let mut list = sites();
    list[0].pbx = None;
    let mut parts = parts();
    parts.sites = super::super::super::Sites::new(list);
    check(
        &routing(parts),
        &[
            ("a PBX user where no PBX is named: as other calls go", TEAMS, CONTOSO, "402", "carrier"),
            ("one in both: Teams has rung", TEAMS, CONTOSO, "403", "!loop"),
            ("from the carrier: what there is", CARRIER, CONTOSO, "403", "teams=+441632768403;ext=403"),
        ],
    );
    let mut homeless = contoso();
    homeless.sites.clear();
    let homeless = homeless.with_users(vec![user("ida", Lives::Teams, &["+441632768401"], 0)]);
    let routing = routing(parts_with(RULES, vec![homeless, fabrikam(), northwind(), gone()]));
    assert_eq!(went(&routing, Query::new(PBX, b"", b"+441632768401")), "teams", "the rule's site");
}
