use std::path::Path;
use std::time::Instant;

use super::*;
use crate::call::CallId;
use crate::call::record::{Facts, Outcome, Party};
use crate::config::load_str;
use crate::trunk::TrunkKind;

fn config(directory: &Path, text: &str) -> Config {
    load_str("edge.toml", &format!("[node]\nname = \"edge-1\"\n{text}"), directory).unwrap().config
}

fn record(id: u64) -> CallRecord {
    CallRecord {
        id: CallId(id),
        call_id: "x".into(),
        from: Party { trunk: "pbx".into(), kind: TrunkKind::Pbx },
        to: None,
        tenant: None,
        began_unix: 1_795_342_500,
        lasted: None,
        relearned: false,
        outcome: Outcome::NotPassed,
        status: 404,
        reason: "".into(),
        meaning: None,
        facts: Facts::default(),
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_reload_moves_the_file_and_a_stop_writes_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let with =
        |file: &str| config(directory.path(), &format!("[records]\nfile = \"{file}\"\n[state]\ndir = \"state\"\n"));
    let records = Records::start(&with("one.jsonl"));
    records.ended(record(1));
    records.reconfigure(&with("two.jsonl"));
    records.ended(record(2));
    records.reconfigure(&with("two.jsonl"));
    records.ended(record(3));
    assert!(records.history().is_some() && records.causes().is_empty());
    records.stop();
    let lines = |file: &str| std::fs::read_to_string(directory.path().join(file)).map(|text| text.lines().count());
    until("the first file is written", || lines("one.jsonl").is_ok_and(|count| count == 1));
    assert_eq!(lines("two.jsonl").unwrap(), 2);
    assert_eq!(records.file_counts.written.load(Ordering::Relaxed), 3, "counts go on from one sink to the next");
    assert_eq!(records.history_counts.written.load(Ordering::Relaxed), 3);
    records.ended(record(4));
    assert_eq!(records.lost(), 0, "after the end there is nobody to write");
}

#[test]
fn a_place_that_fails_is_a_cause_and_a_loss_another() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("no"), "").unwrap();
    let records = Records::start(&config(directory.path(), "[records]\nfile = \"no/calls.jsonl\"\nqueue = 16\n"));
    // More than fit into the queue and what its thread takes out of it.
    (0..2_000).for_each(|id| records.ended(record(id)));
    until("the fault is seen", || records.causes().iter().any(|cause| cause.name == "records-not-written"));
    records.tell_losses();
    let causes = records.causes();
    assert!(causes.iter().any(|cause| cause.name == "records-lost"), "{causes:?}");
    assert!(records.history().is_none(), "there is no state directory");
}
