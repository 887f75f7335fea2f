//! Tests of changes with a journal beneath and calls beside.

use std::fs;
use std::time::{Duration, Instant};

use super::*;
use crate::routing::number::NumberingPlan;
use crate::routing::people::{Lives, UserRecord};
use crate::routing::{Edit, Origin, Parts, Plan, Query, Rules, Sites, Tenant, Tenants, compile};
use crate::trunk::{TrunkId, TrunkKind};

const BOUNDS: Bounds = Bounds { records: 1_000, rules: 100_000, users: 100 };

fn routing() -> Routing {
    let mut rules = Rules::new(100);
    rules.add("1", "a", 0).unwrap();
    let origin = |name: &str| {
        let mut origin = Origin::new(name, TrunkKind::Pbx, "edge.example");
        origin.plan = Some(0);
        origin
    };
    let origins = ["from", "a", "b"].map(origin).to_vec();
    let resolve = |tag: &str| {
        let index = ["from", "a", "b"].iter().position(|name| *name == tag)?;
        Some(crate::routing::Destination::Trunk(TrunkId(index as u16)))
    };
    let plans = vec![Plan::new("p".into(), rules, resolve).0];
    let mut numbering = NumberingPlan::new(None);
    numbering.add_extensions("100-999".parse().unwrap());
    let tenant = Tenant::new("acme", numbering);
    let anna = UserRecord { id: "anna".to_owned(), extension: Some("400".to_owned()), ..UserRecord::default() };
    let anna = compile(anna, &tenant, &Sites::default()).unwrap();
    let tenants = Tenants::new(vec![tenant.with_users(vec![anna])]);
    Routing::new(Parts { plans, origins, tenants, ..Parts::default() }).unwrap().0
}

fn edge() -> Arc<ArcSwap<Edge>> {
    Arc::new(ArcSwap::from_pointee(Edge::default().with_routing(routing())))
}

fn open(dir: Option<&Path>, bounds: Bounds) -> Arc<Changes> {
    Changes::open(edge(), dir, bounds).unwrap()
}

fn batch(id: &str, edits: Vec<Edit>) -> Batch {
    Batch { id: id.to_owned(), edits, ..Batch::default() }
}

fn put(prefix: &str, tag: &str) -> Edit {
    let (plan, prefix, tag) = ("p".to_owned(), prefix.to_owned(), tag.to_owned());
    Edit::Put { plan, prefix, tag, owner: String::new(), active: true }
}

/// The trunk that a call to a number goes to.
fn trunk(changes: &Changes, number: &str) -> String {
    let edge = changes.edge.load();
    let found = edge.routing.plans()[0].find(number.as_bytes());
    found.map_or_else(|| "nowhere".to_owned(), |found| found.tag.to_owned())
}

fn lives(changes: &Changes) -> Lives {
    changes.edge.load().routing.tenants().iter().next().unwrap().users()[0].record.lives
}

/// Waits until the thread beside has done what it is for.
fn until(changes: &Changes, what: &str, done: impl Fn(&Changes) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done(changes) || changes.lock().tidying {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn change_is_there_after_a_restart_and_can_still_be_taken_back() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("state");
    let changes = open(Some(&dir), BOUNDS);
    let move_anna = Edit::SetLives { tenant: "acme".to_owned(), user: "anna".to_owned(), lives: Lives::Pbx };
    let made = changes.apply(&batch("1", vec![put("12", "b"), move_anna])).unwrap();
    assert_eq!((trunk(&changes, "123"), lives(&changes)), ("b".to_owned(), Lives::Pbx));
    assert!(matches!(Changes::open(edge(), Some(&dir), BOUNDS), Err(StateError::InUse(_))), "one edge at a time");
    drop(changes);

    let changes = open(Some(&dir), BOUNDS);
    assert_eq!((trunk(&changes, "123"), lives(&changes)), ("b".to_owned(), Lives::Pbx));
    assert_eq!(changes.record("1"), Some(made.record.clone()));
    let again = changes.apply(&batch("1", vec![])).unwrap();
    assert_eq!(again, Made { record: made.record, known: true }, "the id is known over a restart");
    let back = changes.revert("1", &batch("2", vec![])).unwrap();
    assert_eq!((trunk(&changes, "123"), lives(&changes)), ("a".to_owned(), Lives::Teams));
    assert_eq!(back.record.revision, 2);
    let counted = [&changes.counts.made, &changes.counts.reverted, &changes.counts.refused];
    assert_eq!(counted.map(|count| count.load(Ordering::Relaxed)), [0, 1, 0]);
    drop(changes);
    assert_eq!(trunk(&open(Some(&dir), BOUNDS), "123"), "a");
}

#[test]
fn change_that_the_configuration_does_not_fit_any_more_is_counted_and_keeps_nobody_out() {
    let directory = tempfile::tempdir().unwrap();
    let changes = open(Some(directory.path()), BOUNDS);
    let user = UserRecord { id: "bob".to_owned(), extension: Some("401".to_owned()), ..UserRecord::default() };
    changes.apply(&batch("1", vec![put("12", "b"), Edit::PutUser { tenant: "acme".to_owned(), user }])).unwrap();
    drop(changes);
    let (with_plan, _) = Routing::new(Parts {
        plans: routing().plans().to_vec(),
        origins: vec![Origin::new("a", TrunkKind::Pbx, "edge.example")],
        ..Parts::default()
    })
    .unwrap();
    let edge = Arc::new(ArcSwap::from_pointee(Edge::default().with_routing(with_plan)));
    let changes = Changes::open(edge, Some(directory.path()), BOUNDS).unwrap();
    assert_eq!(changes.counts.not_replayed.load(Ordering::Relaxed), 2, "neither the trunk nor the tenant is there");
    assert_eq!(trunk(&changes, "123"), "a");
}

#[test]
fn damaged_journal_is_no_start_and_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let changes = open(Some(directory.path()), BOUNDS);
    for id in ["1", "2", "3"] {
        changes.apply(&batch(id, vec![put(&format!("2{id}"), "b")])).unwrap();
    }
    drop(changes);
    let path = directory.path().join(JOURNAL);
    let mut text = fs::read(&path).unwrap();
    text[40] ^= 1;
    fs::write(&path, &text).unwrap();
    let error = Changes::open(edge(), Some(directory.path()), BOUNDS).unwrap_err();
    assert!(matches!(error, StateError::Damaged { .. }));
    for words in ["changes.journal:1:", "put a copy back", "move the file away"] {
        assert!(error.to_string().contains(words), "{error}");
    }
    assert_eq!(fs::read(&path).unwrap(), text, "it is left as it is");
}

#[test]
fn refused_change_changes_nothing_and_is_counted() {
    let changes = open(None, BOUNDS);
    assert!(changes.apply(&batch("1", vec![put("12", "b"), put("13", "nowhere")])).is_err());
    assert!(changes.revert("1", &batch("2", vec![])).is_err());
    assert_eq!((trunk(&changes, "123"), changes.revision_and_bytes()), ("a".to_owned(), (0, None)));
    assert_eq!(changes.counts.refused.load(Ordering::Relaxed), 2);
}

#[test]
fn call_goes_on_while_a_change_is_being_made() {
    let changes = open(None, BOUNDS);
    let before = changes.edge.load_full();
    // As long as a slow disk takes: whoever asked for this lock here would wait for ever.
    let held = changes.lock();
    assert_eq!(trunk(&changes, "123"), "a");
    let decision = changes.edge.load().routing.explain(Query::new(TrunkId(0), b"edge.example", b"123"));
    assert!(!decision.steps.is_empty());
    drop(held);
    changes.apply(&batch("1", vec![put("12", "b")])).unwrap();
    assert_eq!(trunk(&changes, "123"), "b");
    let old = before.routing.plans()[0].find(b"123").unwrap();
    assert_eq!(old.tag, "a", "a call in progress keeps what it has");
}

#[test]
fn lookups_go_on_while_many_batches_are_made_and_folded_in() {
    let changes = open(None, BOUNDS);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let (lookups, worst) = std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let (mut lookups, mut worst) = (0_u64, Duration::ZERO);
            while !stop.load(Ordering::Relaxed) {
                let begin = Instant::now();
                assert_eq!(trunk(&changes, "19999999"), "a");
                worst = worst.max(begin.elapsed());
                lookups += 1;
            }
            (lookups, worst)
        });
        for number in 0..40 {
            let edits = (0..250).map(|each| put(&format!("2{number:02}{each:03}"), "b")).collect();
            changes.apply(&batch(&number.to_string(), edits)).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        looking.join().unwrap()
    });
    println!("{lookups} lookups beside 40 batches of 250, the slowest {worst:?}");
    assert!(lookups > 1_000, "{lookups}");
    until(&changes, "a fold", |changes| changes.counts.folds.load(Ordering::Relaxed) > 0 && !changes.may_fold());
    assert!(changes.edge.load().routing.table().pending() < FOLD_PENDING);
    assert_eq!(changes.edge.load().routing.table().len(), 10_001);
    assert_eq!(
        [trunk(&changes, "200000"), trunk(&changes, "239249"), trunk(&changes, "239250")],
        ["b", "b", "nowhere"]
    );
    changes.revert("39", &batch("back", vec![])).unwrap();
    assert_eq!(trunk(&changes, "239249"), "nowhere", "what is folded in can be taken back");
}

#[test]
fn journal_stays_short() {
    let directory = tempfile::tempdir().unwrap();
    let few = Bounds { records: 10, ..BOUNDS };
    let changes = open(Some(directory.path()), few);
    for number in 0..500 {
        let tag = if number % 2 == 0 { "b" } else { "a" };
        changes.apply(&batch(&number.to_string(), vec![put("12", tag)])).unwrap();
        // The thread beside is given the time to be at work at all.
        until(&changes, "a compaction", |_| true);
    }
    assert!(changes.counts.compactions.load(Ordering::Relaxed) > 2);
    let lines = changes.lock().journal.as_ref().unwrap().lines();
    assert!(lines <= MIN_LINES + 1, "{lines}");
    drop(changes);
    let changes = open(Some(directory.path()), few);
    assert_eq!((trunk(&changes, "123"), changes.revision_and_bytes().0), ("a".to_owned(), 500));
    assert_eq!(changes.summaries(100, &|_| true).len(), 10);
    changes.revert("499", &batch("back", vec![])).unwrap();
    assert_eq!(trunk(&changes, "123"), "b");
}
