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

#[test]
fn calls_that_were_up_at_a_kill_get_their_records_from_the_next_process() {
    let directory = tempfile::tempdir().unwrap();
    let config =
        config(directory.path(), "[records]\nfile = \"calls.jsonl\"\nhistory = false\n[state]\ndir = \"state\"\n");
    let before = Records::start(&config);
    assert!(before.wants_ups());
    let up = |id: u64, transparent| CallRecord {
        status: 200,
        lasted: Some(Duration::ZERO),
        facts: Facts { caller: "201".into(), transparent, ..Facts::default() },
        ..record(id)
    };
    for (id, transparent) in [(1, false), (2, false), (3, true), (4, true)] {
        before.up(up(id, transparent));
    }
    before.ended(up(4, true));
    let noted = directory.path().join("state").join("calls.open");
    until("all is noted", || std::fs::read_to_string(&noted).is_ok_and(|text| text.lines().count() == 5));
    // It is killed: nobody stops it. The file is another's from here on.
    let after = Records::start(&config);
    after.ended(CallRecord { relearned: true, facts: Facts::default(), ..up(1, false) });
    after.stop();
    let text = std::fs::read_to_string(directory.path().join("calls.jsonl")).unwrap();
    let entries: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |id: u64| entries.iter().filter(|entry| entry["call"] == format!("{id:016x}")).collect::<Vec<_>>();
    assert_eq!((of(1).len(), of(2).len(), of(3).len(), of(4).len()), (1, 0, 1, 1), "{text}");
    assert_eq!((&of(1)[0]["caller"], &of(1)[0]["relearned"]), (&"201".into(), &true.into()));
    assert!(of(1)[0]["duration_s"].as_f64().is_some());
    assert_eq!((&of(3)[0]["outcome"], &of(3)[0]["caller"]), (&LOST.into(), &"201".into()));
    // The one that may still end waits for that, in the next process too.
    let third = Records::start(&config);
    assert!(third.past.take(CallId(1)).is_none() && third.past.take(CallId(2)).is_some());
    third.stop();
}
