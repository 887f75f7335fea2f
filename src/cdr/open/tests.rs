use super::*;
use crate::cdr::entry::tests::{answered, record, style};

fn up(id: u64) -> Mark {
    Mark::Up(Box::new(record(&mut answered(id, 1_000)).clone()), 3_000)
}

fn keep(calls: &mut OpenCalls, marks: &[Mark]) {
    let mut kept = 0;
    calls.keep(marks, &mut kept).unwrap();
    assert_eq!(kept, marks.len());
    calls.tend().unwrap();
}

fn load(directory: &Path) -> (OpenCalls, Vec<String>) {
    let (calls, opened) = OpenCalls::load(directory, 1_000_000, style()).unwrap();
    let mut ids: Vec<String> = opened.into_iter().map(|opened| opened.entry.call[12..].to_owned()).collect();
    ids.sort();
    (calls, ids)
}

#[test]
fn calls_that_were_up_are_found_by_the_next_process() {
    let directory = tempfile::tempdir().unwrap();
    let (mut calls, opened) = load(directory.path());
    assert!(opened.is_empty());
    keep(&mut calls, &[up(1), up(2), Mark::Over(CallId(1)), Mark::Over(CallId(9))]);
    keep(&mut calls, &[up(3), Mark::Over(CallId(3)), up(4)]);
    drop(calls);
    // The process was killed while it wrote a line.
    let path = directory.path().join(FILE);
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"{\"up\":{\"answered_unix_ms\":1,\"ent").unwrap();
    let (mut calls, opened) = load(directory.path());
    assert_eq!(opened, ["0002", "0004"]);
    keep(&mut calls, &[Mark::Over(CallId(2))]);
    drop(calls);
    let (calls, opened) = load(directory.path());
    assert_eq!(opened, ["0004"]);
    assert_eq!(calls.bytes, std::fs::metadata(&path).unwrap().len());
    let (_, few) = OpenCalls::load(directory.path(), 0, style()).unwrap();
    assert!(few.is_empty());
}

#[test]
fn a_file_of_calls_that_are_over_is_written_anew() {
    let directory = tempfile::tempdir().unwrap();
    let (mut calls, _) = load(directory.path());
    keep(&mut calls, &[up(0)]);
    let mut peak = 0;
    for id in 1..=60 {
        let marks: Vec<Mark> =
            (0..200).flat_map(|n| [up(id * 1_000 + n), Mark::Over(CallId(id * 1_000 + n))]).collect();
        keep(&mut calls, &marks);
        peak = peak.max(calls.bytes);
    }
    let bytes = std::fs::metadata(directory.path().join(FILE)).unwrap().len();
    assert!(peak < 2 * COMPACT_BYTES && bytes == calls.bytes, "{bytes} {peak}");
    assert_eq!(load(directory.path()).1, ["0000"]);
}
