//! How often reading a message may ask for memory: once at the most, and not at all for what is common. Deciding where a
//! call goes asks for none, unless a number has to be written anew. A change at run time asks for what it changes.

#[path = "../benches/support/allocations.rs"]
mod allocations;
#[path = "../benches/support/edge.rs"]
mod edge;
#[path = "../benches/support/messages.rs"]
mod messages;

use std::cell::RefCell;
use std::sync::Arc;

use bytes::Bytes;
use trunkway::call::stored::NoStore;
use trunkway::call::{Command, Edge, Env, Names, Output};
use trunkway::routing::countries::Country;
use trunkway::routing::number::{Form, NumberingPlan};
use trunkway::routing::people::{Lives, UserRecord};
use trunkway::routing::{
    Batch, Bounds, Caller, Decision, Destination, Edit, Group, Ledger, Member, Order, Origin, Outcome, Parts, Plan,
    Query, Route, Routing, Rules, Site, Sites, Tenant, TenantId, Tenants, compile,
};
use trunkway::shard::{Budget, Incoming, Shard, branch_of};
use trunkway::sip::build::{Answer, answer};
use trunkway::sip::{Essentials, Framing, Limits, Message};
use trunkway::transaction::Moment;
use trunkway::trunk::{Hop, Target, TrunkId, TrunkKind};

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

fn parse(text: &Bytes) -> (u64, Message) {
    let limits = Limits::default();
    // The first clone of a `Bytes` makes its count of owners: that is the owner's business.
    drop(text.clone());
    allocations::during(|| Message::parse(text.clone(), Framing::Datagram, &limits).unwrap())
}

#[test]
fn a_common_message_is_indexed_without_an_allocation() {
    let text = Bytes::from(messages::teams_invite(7, "192.0.2.1:5060"));
    let (allocations, message) = parse(&text);
    assert_eq!((allocations, message.lines().len()), (0, 20));
    let (allocations, essentials) =
        allocations::during(|| Essentials::of_request(&message, &Limits::default()).is_ok());
    assert_eq!((allocations, essentials), (0, true));
}

#[test]
fn a_message_of_many_headers_is_indexed_with_one() {
    let many: String = (0..20).map(|number| format!("X-Header-{number}: value\r\n")).collect();
    let text = messages::teams_invite(7, "192.0.2.1:5060").replacen("\r\n\r\n", &format!("\r\n{many}\r\n"), 1);
    let (allocations, message) = parse(&Bytes::from(text));
    assert_eq!(message.lines().len(), 40);
    assert_eq!(allocations, 1);
}

#[test]
fn a_plain_decision_is_made_without_an_allocation() {
    let site = Site {
        tenant: "contoso".into(),
        owner: TenantId(0),
        fqdn: "contoso.customers.example.net".into(),
        teams: TrunkId(0),
        trunk: TrunkId(1),
        pbx: None,
        hairpin: false,
        limits: None,
    };
    let sites = Sites::new(vec![site]);
    let mut tenant = Tenant::new("contoso", NumberingPlan::new(Country::find("GB")));
    tenant.sites = vec![0];
    let mut rules = Rules::new(1);
    rules.add("+44163276", "contoso.customers.example.net", 0).unwrap();
    let (plan, _) = Plan::new("numbers".into(), rules, |tag| sites.find(tag.as_bytes()).map(Destination::Site));
    let origin = |name: &str, kind| Origin { plan: Some(0), ..Origin::new(name, kind, "sbc.example.net") };
    let teams = Origin { called: Form::E164, calling: Form::E164, ..origin("teams", TrunkKind::Teams) };
    let origins = vec![teams, origin("carrier", TrunkKind::Carrier), origin("second", TrunkKind::Carrier)];
    let groups = vec![Group {
        order: Order::Priority,
        members: [1, 2].map(|trunk| Member { trunk: TrunkId(trunk), priority: 0, weight: 50 }).into(),
    }];
    let routes = vec![Route { groups, ..Route::serial(Some(TrunkId(0)), "+1", &[]) }];
    let parts =
        Parts { sites, tenants: Tenants::new(vec![tenant]), plans: vec![plan], origins, routes, ..Parts::default() };
    let (routing, _) = Routing::new(parts).unwrap();
    let caller = Caller { from: Some("+441632760001"), asserted: None };
    let ways = |from, host: &str, user: &str| {
        let query = Query { caller: &caller, ..Query::new(TrunkId(from), host.as_bytes(), user.as_bytes()) };
        allocations::during(|| match routing.route(query) {
            Decision::To(choice) => choice.ways.len(),
            Decision::NoRoute(_) => 0,
        })
    };
    // What is made once for all calls.
    ways(1, "sbc.example.net", "+441632760001");
    for (what, from, host, user, trunks) in [
        ("the plan, to Teams", 1, "sbc.example.net", "+441632760001", 1),
        ("a route with a group", 0, "contoso.customers.example.net", "+12125550100", 2),
        ("the caller's side", 0, "contoso.customers.example.net", "+33123456789", 1),
        ("nowhere", 1, "sbc.example.net", "+33123456789", 0),
    ] {
        assert_eq!(ways(from, host, user), (0, trunks), "{what}");
    }
    let (written, _) = ways(1, "sbc.example.net", "+44-1632-760001");
    assert!((1..=3).contains(&written), "a number that is written anew: {written}");
}

/// What an INVITE and the 200 to it ask for, between transparent trunks and between owned legs.
#[test]
fn owned_legs_ask_for_few_blocks_more() {
    let read = |bytes: Bytes| Message::parse(bytes, Framing::Datagram, &Limits::default()).unwrap();
    let calls = |edge: &Arc<Edge>, remembered: usize| {
        let budget = Budget::with_calls(1_000, remembered);
        let (mut shard, secrets) = (Shard::sharing(0, Moment::from_millis(0), budget), edge::secrets());
        let mut out = Output::default();
        let mut asked = [0; 2];
        for call in 0..100 {
            let env = Env {
                now: Moment::from_millis(1),
                unix: 1_795_996_800,
                unix_ms: 1_795_996_800_000,
                edge,
                secrets: &secrets,
                names: &NoNames,
                store: &NoStore,
                shelf: &RefCell::default(),
            };
            let invite = Bytes::from(messages::teams_invite(call, edge::CALLER));
            drop(invite.clone());
            let request = Message::parse(invite, Framing::Datagram, &Limits::default()).unwrap();
            let essentials = Essentials::of_request(&request, &Limits::default()).unwrap();
            let (from, flow) = edge::peer(edge, "caller");
            let incoming = Incoming { flow, from, former: false, request: &request, essentials: &essentials };
            let (blocks, ()) = allocations::during(|| shard.handle_request(&env, &mut out, &incoming));
            asked[0] = blocks;
            let sent = out.commands.drain(..).find_map(|command| match command {
                Command::Request { bytes, .. } => Some(read(bytes)),
                _ => None,
            });
            let sent = sent.expect("the INVITE is sent on");
            let headers = b"Contact: <sip:201@192.0.2.80:5080>\r\n";
            let ok = Answer { status: 200, reason: "OK", to_tag: b"7f31", headers, own_vias: 0 };
            let ok = read(answer(&sent, "192.0.2.80:5080".parse().unwrap(), &ok));
            let id = branch_of(&ok).unwrap();
            asked[1] = allocations::during(|| shard.handle_answer(&env, &mut out, id, &ok)).0;
            assert!(matches!(&out.commands[..], [Command::Answer { .. }]), "{:?}", out.commands);
            out.commands.clear();
        }
        asked
    };
    let (transparent, owned) = (edge::edge(true), edge::edge(false));
    let [invite, ok] = calls(&transparent, 1_000);
    // One for what answers need of the request, once it is let go, one for the caller's number as the callee wants it; in
    // the answer one more for the first.
    assert_eq!(calls(&owned, 0), [invite + 2, ok + 1], "{invite} {ok}");
    // A call that is remembered: itself and ten texts.
    assert_eq!(calls(&owned, 1_000), [invite + 2, ok + 1 + 11], "{invite} {ok}");
}

/// No name is asked for here.
struct NoNames;

impl Names for NoNames {
    fn cached(&self, _: &Edge, _: TrunkId, _: &Target) -> Option<Vec<Hop>> {
        None
    }
}

#[test]
fn the_counter_counts() {
    let (allocations, text) = allocations::during(|| String::from("one block"));
    assert_eq!((allocations, text.len()), (1, 9));
    let before = allocations::count().live_bytes;
    let block = vec![0_u8; 1_000];
    assert_eq!(allocations::count().live_bytes - before, 1_000);
    drop(block);
    assert_eq!(allocations::count().live_bytes, before);
}

/// An edge with so many tenants of ten users, and rules.
fn edge(tenants: u32, count: u32) -> Edge {
    let mut rules = Rules::new(usize::MAX);
    for rule in 0..count {
        rules.add(&format!("1{rule:06}"), "carrier", rule).unwrap();
    }
    let plans = vec![Plan::new("main".into(), rules, |_| None).0];
    let mut numbering = NumberingPlan::new(None);
    numbering.add_extensions("1000-9999".parse().unwrap());
    let user = |number: u32| {
        let extension = Some((1_000 + number).to_string());
        UserRecord { id: format!("u{number}"), extension, ..UserRecord::default() }
    };
    let tenant = |index: u32| {
        let tenant = Tenant::new(format!("t{index}"), numbering.clone());
        let users = (0..10).map(|number| compile(user(number), &tenant, &Sites::default()).unwrap()).collect();
        tenant.with_users(users)
    };
    let tenants = Tenants::new((0..tenants).map(tenant).collect());
    let origins =
        (0..tenants.iter().count()).map(|index| Origin::new(format!("o{index}"), TrunkKind::Pbx, "edge.example"));
    let origins = origins.chain([Origin::new("carrier", TrunkKind::Carrier, "edge.example")]).collect();
    let parts = Parts { tenants, plans, origins, ..Parts::default() };
    Edge::default().with_routing(Routing::new(parts).unwrap().0)
}

#[test]
fn a_change_at_run_time_asks_for_what_it_changes_and_not_for_what_there_is() {
    let ledger = Ledger::new(Bounds { records: 10, rules: usize::MAX, users: usize::MAX });
    let edits = vec![
        Edit::Put {
            plan: "main".to_owned(),
            prefix: "2".to_owned(),
            owner: "t1".to_owned(),
            tag: "carrier".to_owned(),
            active: true,
        },
        Edit::SetLives { tenant: "t1".to_owned(), user: "u1".to_owned(), lives: Lives::Pbx },
    ];
    let batch = Batch { id: "1".to_owned(), edits, ..Batch::default() };
    let cost = |edge: &Edge| {
        let held = allocations::count().live_bytes;
        let (blocks, next) = allocations::during(|| match edge.routing.apply(&ledger, &batch) {
            Ok(Outcome::Made(routing, _)) => edge.with_routing(*routing),
            other => panic!("{other:?}"),
        });
        (blocks, allocations::count().live_bytes - held, next)
    };
    let (few, small, _next) = cost(&edge(10, 1_000));
    let (many, large, _next) = cost(&edge(1_000, 20_000));
    assert!(few < 500 && many <= few + 8, "{few} and {many} blocks");
    // The list of tenants is made anew: eight bytes each.
    assert!(large <= small + 1_000 * 8 + 1_000, "{small} and {large} bytes");
}
