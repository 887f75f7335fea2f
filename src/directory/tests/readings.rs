//! Whatever happens to pages, what was read is what the directory has.

use std::future::Future;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::source::{Source, failed, throttled, user};
use crate::directory::{Entry, Fault, GroupRule, Mirror, NumberField, Reading, Settings, read, trial};

pub fn settings() -> Settings {
    Settings {
        numbers: vec![NumberField { field: "businessPhones".into(), suffix: None }],
        new: true,
        update: true,
        delete: true,
        max_delete_percent: 10,
        ids_only: false,
        ..Settings::ids_only(1_000)
    }
}

/// Runs to the end.
pub fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
}

pub fn reading(source: &Source, settings: &Settings, known: &Mirror) -> Result<Reading, Fault> {
    run(read(source, settings, known.clone()))
}

/// What a reading of everything gives.
fn whole(source: &Source, settings: &Settings) -> std::collections::BTreeMap<Box<str>, Entry> {
    reading(source, settings, &Mirror::default()).unwrap().mirror.users
}

#[test]
fn what_has_changed_is_enough() {
    let source = Source::new(2);
    for name in ["Alice", "Bob", "Carol"] {
        source.put(name, user(name, ""));
    }
    let first = reading(&source, &settings(), &Mirror::default()).unwrap();
    assert_eq!((first.mirror.users.len(), first.touched, first.pages), (3, None, 2));

    source.put("Alice", json!({ "displayName": "Alice Smith" }));
    source.remove("Bob");
    source.put("Dora", user("Dora", ""));
    let asked = source.asked();
    let second = reading(&source, &settings(), &first.mirror).unwrap();
    assert_eq!(second.touched.map(|touched| touched.len()), Some(3));
    assert_eq!(source.asked() - asked, 2);
    let alice = &second.mirror.users["Alice"];
    assert_eq!((alice.value("displayName"), alice.id()), (Some("Alice Smith"), Some("alice@contoso.example")));
    assert_eq!(second.mirror.users, whole(&source, &settings()));

    let third = reading(&source, &settings(), &second.mirror).unwrap();
    assert_eq!((third.touched.map(|touched| touched.len()), third.mirror), (Some(0), second.mirror));
}

#[test]
fn everything_is_read_again_when_it_must_be() {
    let source = Source::new(10);
    source.put("Alice", user("Alice", ""));
    let first = reading(&source, &settings(), &Mirror::default()).unwrap();
    source.forget();
    let second = reading(&source, &settings(), &first.mirror).unwrap();
    assert_eq!(second.touched, None, "the link was too old");

    let other = Settings { name: "surname".into(), ..settings() };
    assert_eq!(reading(&source, &other, &second.mirror).unwrap().touched, None, "other properties are wanted");

    // Whoever was missed before cannot be known by a change alone.
    let mut missed = second.mirror;
    missed.users.clear();
    source.put("Alice", json!({ "displayName": "Alice Smith" }));
    source.with_oldest(0);
    let third = reading(&source, &settings(), &missed).unwrap();
    assert_eq!((third.touched, third.mirror.users), (None, whole(&source, &settings())));
}

#[test]
fn patience_has_an_end_and_so_have_pages() {
    let source = Source::new(1);
    source.put("Alice", user("Alice", ""));
    source.put("Bob", user("Bob", ""));
    source.fail([throttled(), None, throttled(), throttled()]);
    assert_eq!(reading(&source, &settings(), &Mirror::default()).unwrap().mirror.users.len(), 2);
    source.fail(vec![throttled(); 20]);
    let refused = reading(&source, &settings(), &Mirror::default());
    assert!(matches!(refused, Err(Fault::Throttled { .. })), "{refused:?}");
    source.fail([]);
    let few = Settings { max_users: 1, ..settings() };
    assert_eq!(reading(&source, &few, &Mirror::default()), Err(Fault::TooMany(1)));
}

#[test]
fn groups_and_numbers_belong_to_the_reading() {
    let source = Source::new(2);
    for name in ["Alice", "Bob", "Carol"] {
        source.put(name, user(name, ""));
    }
    source.set_members("sales", &["Alice", "Carol", "printer"]);
    source.assign("Bob", "+441632768402");
    let rule = GroupRule { group: "boss".into(), ..rule("boss") };
    let wants = Settings { group: Some("sales".into()), teams_numbers: true, ..settings() };
    let first = reading(&source, &wants, &Mirror::default()).unwrap().mirror;
    assert_eq!(first.groups["sales"].members.len(), 3);
    assert_eq!(first.users["Bob"].teams_number.as_deref(), Some("+441632768402"));

    let wants = Settings { rules: vec![rule], ..wants };
    let refused = reading(&source, &wants, &first).unwrap_err();
    assert_eq!(refused, Fault::Failed("there is no group boss".to_owned()));
    let tried = run(trial(&source, &wants));
    let faults: Vec<bool> = tried.iter().map(|(_, fault)| fault.is_some()).collect();
    assert_eq!(faults, [false, false, true, false], "{tried:?}");
    source.fail([failed()]);
    assert_eq!(run(trial(&source, &wants)).len(), 1);
}

pub fn rule(group: &str) -> GroupRule {
    let group = Arc::from(group);
    GroupRule { group, lives: Default::default(), first_extension: None, extension_field: None }
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u8),
    Rename(u8, u8),
    Remove(u8),
    Replay(u8),
    Forget,
    /// A reading, of which the page with this number fails, when there are as many.
    Read(Option<u8>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..8_u8, any::<u8>()).prop_map(|(who, what)| Step::Put(who, what)),
        3 => (0..8_u8, any::<u8>()).prop_map(|(who, what)| Step::Rename(who, what)),
        2 => (0..8_u8).prop_map(Step::Remove),
        1 => (1..6_u8).prop_map(Step::Replay),
        1 => Just(Step::Forget),
        3 => proptest::option::of(0..5_u8).prop_map(Step::Read),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_course_of_things_ends_in_what_the_directory_has(
        page in 1..4_usize,
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let (source, settings) = (Source::new(page), settings());
        let mut known = Mirror::default();
        for step in steps {
            match step {
                Step::Put(who, what) => source.put(&who.to_string(), user(&format!("u{who}"), &what.to_string())),
                Step::Rename(who, what) if source.has(&who.to_string()) => {
                    source.put(&who.to_string(), json!({ "displayName": format!("n{what}"), "businessPhones": [] }));
                }
                Step::Rename(..) => {}
                Step::Remove(who) => source.remove(&who.to_string()),
                Step::Replay(count) => source.replay(count.into()),
                Step::Forget => source.forget(),
                Step::Read(at) => {
                    if let Some(at) = at {
                        source.fail((0..at).map(|_| None).chain([failed()]));
                    }
                    // A reading that fails leaves what was known.
                    if let Ok(reading) = reading(&source, &settings, &known) {
                        known = reading.mirror;
                    }
                    source.fail([]);
                }
            }
        }
        let last = reading(&source, &settings, &known).unwrap();
        prop_assert_eq!(last.mirror.users, whole(&source, &settings));
    }
}
