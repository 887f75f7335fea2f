//! Tests of batches with rules, users and tenants.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::routing::number::{Lookup, Number, NumberingPlan};
use crate::routing::people::Lives;
use crate::routing::{Origin, Parts, Plan, Rule, Rules, Site, Sites, Tenant};
use crate::trunk::{TrunkId, TrunkKind};

/// Tenants `acme` (sites `sbc1` and `acme-hq`) and `bee` (site `sbc1`), two plans, trunks `teams` and `carrier`.
fn start() -> Routing {
    let site = |owner: u32, fqdn: &str| {
        let tenant = ["acme", "bee"][owner as usize].into();
        let (teams, trunk) = (TrunkId(0), TrunkId(1));
        Site {
            tenant,
            owner: TenantId(owner),
            fqdn: fqdn.into(),
            teams,
            trunk,
            pbx: None,
            hairpin: false,
            limits: None,
        }
    };
    let sites = Sites::new(vec![site(0, "sbc1.acme.example"), site(1, "sbc1.bee.example"), site(0, "hq.acme.example")]);
    let resolve = |tag: &str| sites.find(tag.as_bytes()).map(Destination::Site);
    let plan = |name: &str| {
        let mut rules = Rules::new(100);
        let rows = [
            ("1", "sbc1.acme.example", "acme"),
            ("2", "sbc1.acme.example", "sbc1.acme.example"),
            ("3", "sbc1.bee.example", "sbc1"),
            ("4", "hq.acme.example", "HQ"),
            ("5", "sbc1.acme.example", "bee"),
            ("6", "sbc1.bee.example", "bee"),
        ];
        for (origin, (prefix, tag, owner)) in (0..).zip(rows) {
            rules.add_rule(Rule { prefix, tag, owner, active: true }, origin).unwrap();
        }
        Plan::new(name.into(), rules, resolve).0
    };
    let plans = vec![plan("p"), plan("q")];
    let mut numbering = NumberingPlan::new(None);
    numbering.add_extensions("100-999".parse().unwrap());
    let tenant = |id: &str, own: &[u32]| {
        let mut tenant = Tenant::new(id, numbering.clone());
        tenant.sites = own.to_vec();
        let users = ["anna", "carl", "bob"].into_iter().zip(100..);
        let users = users.map(|(id, extension)| compile(user(id, extension), &tenant, &sites).unwrap()).collect();
        tenant.with_users(users)
    };
    let tenants = Tenants::new(vec![tenant("acme", &[0, 2]), tenant("bee", &[1])]);
    let origins = vec![
        Origin::new("teams", TrunkKind::Teams, "edge.example"),
        Origin::new("carrier", TrunkKind::Carrier, "edge.example"),
    ];
    Routing::new(Parts { sites: sites.clone(), tenants, plans, origins, ..Parts::default() }).unwrap().0
}

fn user(id: &str, extension: u32) -> UserRecord {
    UserRecord { id: id.to_owned(), extension: Some(extension.to_string()), ..UserRecord::default() }
}

fn batch(id: &str, edits: Vec<Edit>) -> Batch {
    Batch { id: id.to_owned(), who: "admin".to_owned(), when: 7, edits }
}

fn ledger() -> Ledger {
    Ledger::new(Bounds { records: 100, rules: 50, users: 8 })
}

fn put(prefix: &str, tag: &str, owner: &str) -> Edit {
    let (plan, prefix, owner, tag) = ("p".to_owned(), prefix.to_owned(), owner.to_owned(), tag.to_owned());
    Edit::Put { plan, prefix, owner, tag, active: true }
}

fn set_lives(tenant: &str, user: &str, lives: Lives) -> Edit {
    Edit::SetLives { tenant: tenant.to_owned(), user: user.to_owned(), lives }
}

fn remove_tenant(tenant: &str) -> Edit {
    Edit::RemoveTenant { tenant: tenant.to_owned() }
}

/// All rules, users and tenants, and what the index of users says.
fn state(routing: &Routing) -> Vec<String> {
    let mut state = Vec::new();
    routing.table().for_each(|rule| {
        state.push(format!("{} {} {} {} {}", rule.plan, rule.prefix, rule.owner, rule.tag, rule.active));
    });
    for tenant in routing.tenants().iter() {
        state.push(format!("{} {}", tenant.id, tenant.removed));
        state.extend(tenant.users().iter().map(|user| format!("{} {user:?}", tenant.id)));
        for extension in 100..120 {
            let number = Number::parse(&extension.to_string(), &tenant.numbering);
            let found = match tenant.lookup(&number) {
                Lookup::User(id) => tenant.user(id).unwrap().record.id.clone(),
                other => format!("{other:?}"),
            };
            state.push(format!("{} {extension} {found}", tenant.id));
        }
    }
    state.sort();
    state
}

fn made(routing: &Routing, ledger: &mut Ledger, id: &str, edits: Vec<Edit>) -> Routing {
    match routing.apply(ledger, &batch(id, edits)) {
        Ok(Outcome::Made(next, record)) => {
            ledger.remember(record);
            *next
        }
        other => panic!("{other:?}"),
    }
}

fn reverted(routing: &Routing, ledger: &mut Ledger, id: &str) -> Routing {
    match routing.revert(ledger, id, &batch(&format!("-{id}"), vec![])) {
        Ok(Outcome::Made(next, record)) => {
            ledger.remember(record);
            *next
        }
        other => panic!("{other:?}"),
    }
}

fn refused(routing: &Routing, edits: Vec<Edit>) -> String {
    routing.apply(&ledger(), &batch("x", edits)).unwrap_err().to_string()
}

fn rules_of(routing: &Routing) -> BTreeMap<String, String> {
    let mut rules = BTreeMap::new();
    routing.table().for_each(|rule| {
        if &*rule.plan == "p" {
            rules.insert(rule.prefix, rule.owner);
        }
    });
    rules
}

#[test]
fn user_moves_from_teams_to_the_pbx_and_back() {
    let (start, mut ledger) = (start(), ledger());
    let next = made(&start, &mut ledger, "1", vec![set_lives("acme", "anna", Lives::Pbx)]);
    let lives = |routing: &Routing, tenant: u32| {
        let tenant = routing.tenants().get(TenantId(tenant)).unwrap();
        tenant.users().iter().map(|user| user.record.lives).collect::<Vec<_>>()
    };
    assert_eq!(lives(&next, 0), [Lives::Pbx, Lives::Teams, Lives::Teams]);
    assert_eq!(lives(&next, 1), [Lives::Teams; 3], "users of another tenant with the same id stay");
    assert_eq!(lives(&start, 0), [Lives::Teams; 3], "who has the old routing keeps it");
    let record = ledger.get("1").unwrap();
    assert_eq!((record.revision, record.when, record.who.as_str()), (1, 7, "admin"));
    assert_eq!(record.users[0].old.as_ref().map(|user| user.lives), Some(Lives::Teams));
    assert_eq!(record.users[0].new.as_ref().map(|user| user.lives), Some(Lives::Pbx));
    assert!(matches!(next.apply(&ledger, &batch("1", vec![])), Ok(Outcome::Known(known)) if known == *record));
    assert_eq!(state(&reverted(&next, &mut ledger, "1")), state(&start));
    assert_eq!(ledger.revision(), 2);
}

#[test]
fn what_is_wrong_with_a_batch_is_told_and_nothing_changes() {
    let start = start();
    let (tenant, gone) = ("acme".to_owned(), "nobody".to_owned());
    let good = put("9", "carrier", "acme");
    for (edit, expected) in [
        (set_lives("acme", "nobody", Lives::Pbx), "tenant `acme` has no user `nobody`"),
        (set_lives("none", "anna", Lives::Pbx), "there is no tenant `none`"),
        (Edit::RemoveUser { tenant: tenant.clone(), user: gone }, "tenant `acme` has no user `nobody`"),
        (Edit::RestoreTenant { tenant: tenant.clone() }, "there is no tenant `acme`"),
        (
            Edit::PutUser { tenant: tenant.clone(), user: UserRecord { extension: None, ..user("new", 1) } },
            "tenant `acme`: user `new` has neither a number nor an extension",
        ),
        (
            Edit::ReplaceUsers { tenant: tenant.clone(), users: vec![user("a", 101), user("b", 102), user("a ", 103)] },
            "tenant `acme`: user `a` is there twice",
        ),
        (put("9", "nowhere", ""), "tag `nowhere` is neither a site's FQDN nor a trunk"),
        (
            Edit::ReplaceUsers { tenant, users: (0..6).map(|id| user(&format!("u{id}"), 100 + id)).collect() },
            "there is no room for more users: the limit is 8",
        ),
    ] {
        assert_eq!(refused(&start, vec![good.clone(), edit]), expected);
    }
    let error = refused(&start, vec![remove_tenant("acme"), put("9", "hq.acme.example", "")]);
    assert_eq!(error, "tag `hq.acme.example` is neither a site's FQDN nor a trunk", "its tenant has just gone");
}

#[test]
fn tenant_goes_with_all_that_it_owns_in_one_change_and_comes_back() {
    let (start, mut ledger) = (start(), ledger());
    let next = made(&start, &mut ledger, "gone", vec![remove_tenant("acme")]);
    let left: Vec<String> = rules_of(&next).into_iter().map(|(prefix, owner)| format!("{prefix} {owner}")).collect();
    assert_eq!(left, ["3 sbc1", "5 bee", "6 bee"], "a label that two tenants have as a site is nobody's");
    let tenant = next.tenants().get(TenantId(0)).unwrap();
    assert!(tenant.removed && tenant.users().is_empty());
    assert_eq!(ledger.get("gone").map(Record::len), Some(2 * 3 + 3 + 1));
    assert_eq!(refused(&next, vec![remove_tenant("acme")]), "there is no tenant `acme`");
    assert_eq!(refused(&next, vec![set_lives("acme", "anna", Lives::Pbx)]), "there is no tenant `acme`");
    assert_eq!(state(&reverted(&next, &mut ledger, "gone")), state(&start));

    let empty = made(&next, &mut ledger, "back", vec![Edit::RestoreTenant { tenant: "acme".to_owned() }]);
    let tenant = empty.tenants().get(TenantId(0)).unwrap();
    assert!(!tenant.removed && tenant.users().is_empty());
    let error = empty.revert(&ledger, "gone", &batch("r", vec![])).unwrap_err();
    assert_eq!(error, BatchError::TenantChangedSince("acme".to_owned()));
    // With the other site gone, its label means this tenant only.
    let alone = made(&next, &mut ledger, "both", vec![remove_tenant("bee")]);
    assert_eq!(rules_of(&alone), BTreeMap::new());
}

#[test]
fn revert_of_what_has_changed_since_is_refused() {
    let (start, mut ledger) = (start(), ledger());
    let first = made(&start, &mut ledger, "1", vec![set_lives("acme", "anna", Lives::Pbx)]);
    let second = made(&first, &mut ledger, "2", vec![set_lives("acme", "anna", Lives::Both)]);
    let error = second.revert(&ledger, "1", &batch("r", vec![])).unwrap_err();
    assert_eq!(error.to_string(), "tenant `acme`: user `anna` has changed since");
    let back = reverted(&reverted(&second, &mut ledger, "2"), &mut ledger, "1");
    assert_eq!(state(&back), state(&start));
    let again = reverted(&back, &mut ledger, "-1");
    assert_eq!(state(&again), state(&first), "a revert can be taken back");
    let error = back.revert(&ledger, "never", &batch("r", vec![])).unwrap_err();
    assert_eq!(error, BatchError::UnknownChange("never".to_owned()));
}

#[test]
fn ledger_remembers_so_many_records_and_changes() {
    let mut ledger = Ledger::new(Bounds { records: 3, rules: 50, users: 8 });
    let record = |id: &str, changes: usize| {
        let change = TenantChange { tenant: "acme".to_owned(), removed: true };
        Record { id: id.to_owned(), tenants: vec![change; changes], ..Record::default() }
    };
    let ids = |ledger: &Ledger| ledger.records().map(|record| record.id.clone()).collect::<Vec<_>>().join(" ");
    for id in ["a", "b", "c", "d"] {
        ledger.remember(record(id, 1));
    }
    assert_eq!(ids(&ledger), "b c d");
    ledger.remember(record("large", 47));
    assert_eq!(ids(&ledger), "d large");
    ledger.remember(record("huge", 1_000));
    assert_eq!((ids(&ledger), ledger.get("d").is_none()), ("huge".to_owned(), true));
    ledger.remember(record("e", 0));
    assert_eq!(ids(&ledger), "e", "what is too large goes when something comes after it");
}

/// An edit by three numbers.
fn edit((what, tenant, which): (u8, u8, u8)) -> Edit {
    let tenant = ["acme", "bee"][usize::from(tenant)].to_owned();
    let user_id = ["anna", "bob", "dora", "zoe"][usize::from(which) % 4];
    let lives = [Lives::Teams, Lives::Pbx, Lives::Both][usize::from(which) % 3];
    match what {
        0..3 => set_lives(&tenant, user_id, lives),
        3..5 => Edit::PutUser { tenant, user: UserRecord { lives, ..user(user_id, 100 + u32::from(which)) } },
        5 => Edit::RemoveUser { tenant, user: user_id.to_owned() },
        6 => {
            let users = (0..which % 4).map(|id| user(&format!("new{id}"), 110 + u32::from(id))).collect();
            Edit::ReplaceUsers { tenant, users }
        }
        7 => remove_tenant(&tenant),
        8 => Edit::RestoreTenant { tenant },
        9..12 => put(&format!("{}", which % 8), "carrier", ["acme", "bee", "hq", ""][usize::from(which) % 4]),
        12 => Edit::Remove { plan: "p".to_owned(), prefix: format!("{}", which % 8), owner: tenant },
        _ => Edit::RemoveOwner { owner: tenant },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn replay_equals_live_and_revert_equals_before(
        batches in prop::collection::vec(prop::collection::vec((0..14_u8, 0..2_u8, 0..16_u8), 1..4), 1..16),
        fold_at in 0..16_usize,
    ) {
        let (begin, mut ledger) = (start(), ledger());
        let mut routing = begin.clone();
        let mut before = Vec::new();
        let mut folding = None;
        for (index, edits) in batches.into_iter().enumerate() {
            let batch = batch(&index.to_string(), edits.into_iter().map(edit).collect());
            let old = state(&routing);
            match routing.apply(&ledger, &batch) {
                Ok(Outcome::Made(next, record)) => {
                    let undone = {
                        let mut ledger = ledger.clone();
                        ledger.remember(record.clone());
                        reverted(&next, &mut ledger, &batch.id)
                    };
                    prop_assert_eq!(state(&undone), old.clone());
                    before.push((batch.id.clone(), old));
                    ledger.remember(record);
                    routing = *next;
                }
                Ok(Outcome::Known(_)) => prop_assert!(false),
                // Users who are not there, and the like: nothing has changed then.
                Err(_) => prop_assert_eq!(state(&routing), old),
            }
            if index == fold_at {
                folding = Some(routing.folded());
            }
        }
        let (again, errors) = begin.replay(ledger.records());
        prop_assert_eq!(errors, []);
        prop_assert_eq!(state(&again), state(&routing));
        if let Some(folded) = folding {
            let rebased = routing.rebased(&folded).unwrap();
            prop_assert_eq!(state(&rebased), state(&routing));
        }
        for (id, old) in before.into_iter().rev() {
            routing = reverted(&routing, &mut ledger, &id);
            prop_assert_eq!(state(&routing), old);
        }
    }
}
