//! Tenants for the world: `alice` is a carrier that all share, `bob` the PBX of contoso, `echo` the Teams side of both
//! tenants, `carl`, `dora` and `serial` are further carriers.

use smallvec::smallvec;

use super::wire::{Request, Sent};
use super::world::{ALICE, BOB, World};
use crate::call::Edge;
use crate::routing::countries::Country;
use crate::routing::number::{Form, Number, NumberingPlan};
use crate::routing::people::{Lives, UserRecord};
use crate::routing::{
    Anonymous, Emergency, Group, Member, Order, Origin, Parts, Plan, Route, Routing, Rules, Site, Sites, Tenant,
    TenantId, Tenants, User, Window,
};
use crate::trunk::{TrunkId, TrunkKind};

pub(super) const TEAMS: &str = "192.0.2.80:5060";
pub(super) const SITE: &str = "sbc.contoso.example";
pub(super) const OTHER_SITE: &str = "sbc.fabrikam.example";

const CONTOSO: TenantId = TenantId(0);
const FABRIKAM: TenantId = TenantId(1);

/// A world whose shards take `max_contexts` requests each.
pub(super) fn office(max_contexts: usize) -> World {
    World::with(furnish, max_contexts)
}

/// An INVITE for a number of contoso's.
pub(super) fn invite(called: &str, id: &str) -> Request {
    Request::new("INVITE", &format!("sip:{called}@{SITE}"), id)
}

/// An INVITE of the PBX's.
pub(super) fn outgoing(called: &str, id: &str) -> Request {
    let via = format!("SIP/2.0/UDP {BOB};branch=z9hG4bK{id}-INVITE");
    Request::new("INVITE", &format!("sip:{called}@192.0.2.1"), id).via(&via)
}

/// The same call from another number.
pub(super) fn calling(request: &Request, from: &str) -> String {
    request.text().replace("From: <sip:a@alice.example>", &format!("From: {from}"))
}

/// What the PBX's call sends on, less the 100.
#[track_caller]
pub(super) fn from_pbx(world: &mut World, request: &Request) -> Vec<Sent> {
    world.request(BOB, request);
    let mut sent = world.take();
    assert!(sent.first().is_some_and(|sent| sent.status() == 100), "{sent:?}");
    sent.remove(0);
    sent
}

/// Where messages went, as words, without the 100 to the carrier.
pub(super) fn whats(sent: &[Sent]) -> Vec<String> {
    let is_trying = |sent: &&Sent| sent.status() == 100 && sent.to == ALICE.parse().unwrap();
    sent.iter().filter(|sent| !is_trying(sent)).map(|sent| format!("{} {}", sent.what(), sent.to)).collect()
}

fn furnish(edge: &mut Edge) {
    let id = |name: &str| edge.trunks.named(name).expect("a trunk").id;
    let (alice, bob, echo) = (id("alice"), id("bob"), id("echo"));
    let mut origins: Vec<Origin> =
        edge.trunks.0.iter().map(|trunk| Origin::new(&*trunk.name, TrunkKind::Carrier, "192.0.2.1")).collect();
    let mut origin = |id: TrunkId, change: fn(&mut Origin)| change(&mut origins[usize::from(id.0)]);
    origin(alice, |alice| alice.plan = Some(0));
    origin(bob, |bob| {
        bob.kind = TrunkKind::Pbx;
        bob.tenant = Some(CONTOSO);
        bob.called = Form::Extension;
    });
    origin(echo, |echo| {
        echo.kind = TrunkKind::Teams;
        (echo.called, echo.calling) = (Form::E164, Form::E164);
    });
    let site = |owner, tenant: &str, fqdn: &str, pbx| Site {
        tenant: tenant.into(),
        owner,
        fqdn: fqdn.into(),
        teams: echo,
        trunk: alice,
        pbx,
        hairpin: false,
        limits: None,
    };
    let sites =
        Sites::new(vec![site(CONTOSO, "contoso", SITE, Some(bob)), site(FABRIKAM, "fabrikam", OTHER_SITE, None)]);
    let (plan, _) = Plan::new("towns".into(), rules(&[("+4930[00-99]", SITE)]), |_| None);
    let parts = Parts {
        sites,
        tenants: Tenants::new(vec![contoso(id("carl")), fabrikam()]),
        plans: vec![plan],
        origins,
        routes: routes(&id),
        emergency: Emergency::default(),
    };
    edge.routing = Routing::new(parts).expect("prefixes that can be read").0;
}

fn rules(rows: &[(&str, &str)]) -> Rules {
    let mut rules = Rules::new(100);
    for (origin, (prefix, tag)) in (0..).zip(rows) {
        rules.add(prefix, tag, origin).expect("a prefix that can be read");
    }
    rules
}

fn contoso(help: TrunkId) -> Tenant {
    let mut numbering = NumberingPlan::new(Country::find("GB"));
    numbering.add_extensions("400-499".parse().expect("a range"));
    let user = |id: &str, number: &str, lives, coverage_delay_s| User {
        record: UserRecord { id: id.into(), lives, coverage_delay_s, ..UserRecord::default() },
        numbers: smallvec![Number::parse(number, &numbering)],
        site: Some(0),
    };
    let users = vec![
        user("anna", "+441632768401;ext=401", Lives::Both, 5),
        user("bert", "+441632768402;ext=402", Lives::Both, 0),
        user("cleo", "+441632768403;ext=403", Lives::Teams, 0),
        user("dirk", "+441632768404;ext=404", Lives::Pbx, 0),
        user("main1", "+441632768410;ext=411", Lives::Pbx, 0),
        user("main2", "+441632768410;ext=412", Lives::Pbx, 0),
    ];
    let ranges = Plan::new("".into(), rules(&[("+4416327684[00-99]", "own")]), |_| None).0;
    let mut tenant = Tenant::new("contoso", numbering);
    (tenant.sites, tenant.ranges, tenant.emergency) = (vec![0], ranges, vec![help]);
    tenant.with_users(users)
}

fn fabrikam() -> Tenant {
    let mut tenant = Tenant::new("fabrikam", NumberingPlan::new(Country::find("GB")));
    (tenant.sites, tenant.anonymous) = (vec![1], Anonymous::Refuse);
    tenant
}

fn routes(id: &dyn Fn(&str) -> TrunkId) -> Vec<Route> {
    let (serial, carl, dora) = (id("serial"), id("carl"), id("dora"));
    let equals = [carl, dora].map(|trunk| Member { trunk, priority: 1, weight: 50 }).to_vec();
    let never = Window { days: 0, from: 0, to: 1440, zone: jiff::tz::TimeZone::UTC };
    vec![
        Route { failover_codes: Some([486].into()), ..Route::serial(None, "+1", &[serial, carl]) },
        Route {
            prefix: "+33".into(),
            groups: vec![Group { order: Order::Priority, members: equals }],
            called: Some(Form::E164NoPlus),
            calling: Some(Form::E164),
            ..Route::default()
        },
        Route { windows: vec![never], ..Route::serial(None, "+34", &[serial]) },
        Route::serial(Some(id("bob")), "+35", &[serial]),
    ]
}
