//! What a change at run time costs at 1,000 tenants of 100 users and a million rules: the batch, the swap of the edge, and
//! the journal. `cargo bench --bench changes [-- TENANTS RULES]` prints one table.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use trunkway::call::Edge;
use trunkway::routing::number::NumberingPlan;
use trunkway::routing::people::{Lives, UserRecord};
use trunkway::routing::{
    Batch, Bounds, Edit, Ledger, Origin, Outcome, Parts, Plan, Routing, Rule, Rules, Sites, Tenant, Tenants, compile,
};
use trunkway::store::Journal;
use trunkway::trunk::TrunkKind;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USERS: u32 = 100;
const ROUNDS: u32 = 200;

fn main() {
    let sizes: Vec<u32> = std::env::args().skip(1).filter_map(|size| size.parse().ok()).collect();
    let (tenants, rules) = match *sizes {
        [tenants, rules, ..] => (tenants.max(1), rules),
        _ => (1_000, 1_000_000),
    };
    let begin = Instant::now();
    let routing = routing(tenants, rules);
    println!("{tenants} tenants, {} users, {rules} rules: built in {:.1?}", routing.user_count(), begin.elapsed());
    let edge = ArcSwap::from_pointee(Edge::default().with_routing(routing));
    let mut ledger = Ledger::new(Bounds { records: 100_000, rules: usize::MAX, users: usize::MAX });
    let directory = tempfile::tempdir().expect("a directory");
    let (mut journal, _) = Journal::open(&directory.path().join("journal")).expect("a journal");
    let mut number = 0;
    let mut change = |name: &str, rounds: u32, edit: &dyn Fn(u32) -> Edit| {
        let (mut pure, mut kept) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            number += 1;
            let batch = Batch { id: number.to_string(), edits: vec![edit(round)], ..Batch::default() };
            let begin = Instant::now();
            let old = edge.load_full();
            let Ok(Outcome::Made(routing, record)) = old.routing.apply(&ledger, &batch) else {
                panic!("{name}: {batch:?} is not made");
            };
            edge.store(Arc::new(old.with_routing(*routing)));
            pure.push(begin.elapsed());
            let begin = Instant::now();
            journal.append(&record).expect("kept");
            kept.push(begin.elapsed());
            ledger.remember(record);
        }
        println!("  {name:<28} {} and {} on disk", spread(pure), spread(kept));
    };
    let tenant = |round: u32| format!("t{}", round % tenants);
    change("a rule put", ROUNDS, &|round| Edit::Put {
        plan: "main".to_owned(),
        prefix: format!("99{round:08}"),
        owner: tenant(round),
        tag: "carrier".to_owned(),
        active: true,
    });
    change("where a user's calls ring", ROUNDS, &|round| Edit::SetLives {
        tenant: tenant(round),
        user: format!("u{}", round % USERS),
        lives: if round / tenants % 2 == 0 { Lives::Pbx } else { Lives::Both },
    });
    change("a user put", ROUNDS, &|round| Edit::PutUser { tenant: tenant(round), user: user(USERS + round) });
    change("a tenant removed", 3.min(tenants), &|round| Edit::RemoveTenant { tenant: tenant(tenants - 1 - round) });
}

fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |share: usize| times.get(times.len() * share / 100).or(times.last()).copied().unwrap_or_default();
    format!("median {:>8.1?}, 99 % {:>8.1?}", at(50), at(99))
}

fn user(number: u32) -> UserRecord {
    let extension = Some((1_000 + number).to_string());
    UserRecord { id: format!("u{number}"), extension, ..UserRecord::default() }
}

fn routing(tenants: u32, count: u32) -> Routing {
    let mut rules = Rules::new(usize::MAX);
    for rule in 0..count {
        let (prefix, owner) = (format!("+44{:08}", u64::from(rule) * 97 % 99_999_989), format!("t{}", rule % tenants));
        let rule_of = Rule { prefix: &prefix, tag: "carrier", owner: &owner, active: true };
        rules.add_rule(rule_of, rule).expect("a rule");
    }
    let plan = Plan::new("main".into(), rules, |_| None).0;
    let mut numbering = NumberingPlan::new(None);
    numbering.add_extensions("1000-9999".parse().expect("a range"));
    let tenant = |index: u32| {
        let tenant = Tenant::new(format!("t{index}"), numbering.clone());
        let compiled = |number| compile(user(number), &tenant, &Sites::default()).expect("a user");
        let users = (0..USERS).map(compiled).collect();
        tenant.with_users(users)
    };
    let tenants = Tenants::new((0..tenants).map(tenant).collect());
    let origins = vec![Origin::new("carrier", TrunkKind::Carrier, "edge.example")];
    Routing::new(Parts { plans: vec![plan], origins, tenants, ..Parts::default() }).expect("a routing").0
}
