//! A small world: a shared carrier, tenants with overlapping extensions, a customer's own carrier, PBXs.

use crate::routing::countries::Country;
use crate::routing::number::{Form, Number, NumberingPlan};
use crate::routing::people::{Lives, UserRecord};
use crate::routing::{
    Destination, Emergency, Origin, Parts, Plan, Rates, Routing, Rule, Rules, Site, Sites, Tenant, TenantId, Tenants,
    User,
};
use crate::trunk::{TrunkId, TrunkKind};

pub const TEAMS: TrunkId = TrunkId(0);
pub const CARRIER: TrunkId = TrunkId(1);
pub const SECOND: TrunkId = TrunkId(2);
pub const OWN_CARRIER: TrunkId = TrunkId(3);
pub const PBX: TrunkId = TrunkId(4);
pub const OTHER_PBX: TrunkId = TrunkId(5);
pub const HELP: TrunkId = TrunkId(6);
pub const OLD_PBX: TrunkId = TrunkId(7);
pub const SHARED_PBX: TrunkId = TrunkId(8);

pub const CONTOSO: &str = "contoso.example.net";
pub const FABRIKAM: &str = "fabrikam.example.net";
pub const NORTHWIND: &str = "northwind.example.net";
pub const GONE: &str = "gone.example.net";
pub const EDGE: &str = "sbc.example.net";

/// The rules that all trunks ask: prefix, tag, owner.
pub const RULES: &[(&str, &str, &str)] = &[
    ("+44163276840", CONTOSO, ""),
    ("+4416327699", FABRIKAM, ""),
    ("+44163271", NORTHWIND, ""),
    ("+4416327199", "pbx-f", ""),
    ("+44163272", GONE, ""),
    ("+4417", CONTOSO, ""),
    ("+44177", "pbx", ""),
    ("+44178", "carrier", ""),
    ("+44179", "second", ""),
    ("+441790", "second", "contoso"),
    ("+44176", FABRIKAM, ""),
    ("+4418", "carrier", ""),
    ("+44181", "pbx-f", ""),
    ("999", "help", ""),
    ("+3385", "nowhere", ""),
];

pub fn plan_of(rules: &[(&str, &str, &str)], resolve: impl Fn(&str) -> Option<Destination>) -> Plan {
    let mut set = Rules::new(1000);
    for (origin, (prefix, tag, owner)) in (0..).zip(rules) {
        set.add_rule(Rule { prefix, tag, owner, active: true }, origin).unwrap();
    }
    Plan::new("numbers".into(), set, resolve).0
}

pub fn numbering() -> NumberingPlan {
    let mut plan = NumberingPlan::new(Country::find("GB"));
    plan.add_extensions("400-499".parse().unwrap());
    plan
}

pub fn user(id: &str, lives: Lives, numbers: &[&str], delay: u16) -> User {
    let record = UserRecord { id: id.to_owned(), lives, coverage_delay_s: delay, ..UserRecord::default() };
    let plan = numbering();
    User { record, numbers: numbers.iter().map(|text| Number::parse(text, &plan)).collect(), site: None }
}

pub fn contoso() -> Tenant {
    let mut numbering = numbering();
    numbering.set_main(Number::parse("+441632768400", &numbering));
    numbering.add_service_number(crate::routing::number::Digits::new(b"123").unwrap());
    let mut tenant = Tenant::new("contoso", numbering);
    tenant.sites = vec![0];
    tenant.ranges = plan_of(&[("+4416327684[00-99]", "", "")], |_| None);
    tenant.with_users(vec![
        user("desk", Lives::Pbx, &["+441632768400;ext=400"], 0),
        user("anna", Lives::Teams, &["+441632768401;ext=401"], 0),
        user("ben", Lives::Pbx, &["+441632768402;ext=402"], 0),
        user("cat", Lives::Both, &["+441632768403;ext=403"], 5),
        user("dan", Lives::Teams, &["+441632768410;ext=410"], 0),
        user("eve", Lives::Teams, &["+441632768410;ext=411"], 0),
        user("fay", Lives::Teams, &["420"], 0),
    ])
}

pub fn fabrikam() -> Tenant {
    let mut tenant = Tenant::new("fabrikam", numbering());
    tenant.sites = vec![1];
    tenant.ranges = plan_of(&[("+4416327699", "", "")], |_| None);
    tenant.with_users(vec![
        user("ada", Lives::Pbx, &["+441632769901;ext=401"], 0),
        user("bob", Lives::Teams, &["+441632769902;ext=402"], 0),
        user("cyd", Lives::Both, &["+441632769903;ext=403"], 9),
    ])
}

pub fn northwind() -> Tenant {
    let mut tenant = Tenant::new("northwind", numbering());
    tenant.sites = vec![2];
    tenant
}

pub fn gone() -> Tenant {
    let mut tenant = Tenant::new("gone", numbering());
    tenant.sites = vec![3];
    tenant.removed = true;
    tenant
}

pub fn sites() -> Vec<Site> {
    let site = |owner, fqdn: &str, trunk, pbx| Site {
        tenant: fqdn.split('.').next().unwrap().into(),
        owner: TenantId(owner),
        fqdn: fqdn.into(),
        teams: TEAMS,
        trunk,
        pbx,
        hairpin: false,
        limits: None,
    };
    vec![
        site(0, CONTOSO, CARRIER, Some(PBX)),
        site(1, FABRIKAM, OWN_CARRIER, Some(OTHER_PBX)),
        site(2, NORTHWIND, SECOND, None),
        site(3, GONE, CARRIER, Some(OLD_PBX)),
    ]
}

pub fn origins() -> Vec<Origin> {
    let origin = |name: &str, kind, tenant: Option<u32>| Origin {
        plan: Some(0),
        tenant: tenant.map(TenantId),
        ..Origin::new(name, kind, EDGE)
    };
    let mut origins = vec![
        origin("teams", TrunkKind::Teams, None),
        origin("carrier", TrunkKind::Carrier, None),
        origin("second", TrunkKind::Carrier, None),
        origin("own-f", TrunkKind::Carrier, Some(1)),
        origin("pbx", TrunkKind::Pbx, Some(0)),
        origin("pbx-f", TrunkKind::Pbx, Some(1)),
        origin("help", TrunkKind::Carrier, None),
        origin("old-pbx", TrunkKind::Pbx, Some(3)),
        origin("shared-pbx", TrunkKind::Pbx, None),
    ];
    origins[0].called = Form::E164;
    origins[0].calling = Form::E164;
    origins
}

pub fn parts_with(rules: &[(&str, &str, &str)], tenants: Vec<Tenant>) -> Parts {
    let (sites, origins) = (Sites::new(sites()), origins());
    let plan = plan_of(rules, |tag| {
        let trunk = || (0..).zip(&origins).find(|(_, origin)| *origin.name == *tag);
        let site = sites.find(tag.as_bytes()).map(Destination::Site);
        site.or_else(|| trunk().map(|(id, _)| Destination::Trunk(TrunkId(id))))
    });
    let digits = |text: &str| crate::routing::number::Digits::new(text.as_bytes()).unwrap();
    let emergency = Emergency { numbers: vec![digits("112"), digits("911")], to: Vec::new() };
    Parts { sites, tenants: Tenants::new(tenants), plans: vec![plan], origins, routes: Vec::new(), emergency }
}

pub fn parts() -> Parts {
    parts_with(RULES, vec![contoso(), fabrikam(), northwind(), gone()])
}

pub fn routing(parts: Parts) -> Routing {
    Routing::new(parts).unwrap().0
}

/// Puts prices on a trunk.
pub fn rates(prices: &[(&str, &str)]) -> Rates {
    let rules: Vec<(&str, &str, &str)> = prices.iter().map(|(prefix, price)| (*prefix, *price, "")).collect();
    Rates(plan_of(&rules, |_| None))
}
