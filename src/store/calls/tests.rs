use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::store::calls::table::Stage;

const NOW: u64 = 1_800_000_000;
const SETTINGS: CallSettings = CallSettings { max_calls: 100, max_age: Duration::from_secs(7 * 86_400) };
const SETUP: u64 = 30 * 60;
const OVER: u64 = 5 * 60;

fn key(call: u64, item: u64) -> StoreKey {
    // As marks are: all bits count.
    StoreKey { call: call.wrapping_mul(0x9e37_79b9_7f4a_7c15), item }
}

fn state(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn open(dir: &tempfile::TempDir, now: u64) -> (Calls, Found) {
    Calls::open(Some(dir.path()), SETTINGS, now).unwrap()
}

fn file(dir: &tempfile::TempDir) -> PathBuf {
    dir.path().join(FILE)
}

#[test]
fn what_is_kept_is_there_again_after_the_process_was_killed() {
    let dir = tempfile::tempdir().unwrap();
    let (calls, found) = open(&dir, NOW);
    assert_eq!(found, Found::default());
    calls.keep(key(1, 1), state("one"), NOW);
    calls.keep(key(1, 2), state("two"), NOW);
    calls.mark_up(key(1, 0).call, NOW + 1);
    calls.keep(key(2, 1), state("three"), NOW + 2);
    let bytes = fs::metadata(file(&dir)).unwrap().len();
    // The same again, as for a copy of an answer, is not written.
    calls.keep(key(1, 2), state("two"), NOW + 3);
    calls.mark_up(key(1, 0).call, NOW + 3);
    assert_eq!((fs::metadata(file(&dir)).unwrap().len(), calls.file_bytes()), (bytes, Some(bytes)));
    // Nothing is closed or flushed: the process is gone.
    let copy = tempfile::tempdir().unwrap();
    fs::copy(file(&dir), file(&copy)).unwrap();
    let (again, found) = open(&copy, NOW + 10);
    assert_eq!(found, Found { torn: 0, damaged: 0, calls: 2 });
    assert_eq!(again.state(key(1, 1), NOW + 10), Some(state("one")));
    assert_eq!(again.state(key(1, 2), NOW + 10), Some(state("two")));
    assert_eq!(again.state(key(2, 1), NOW + 10), Some(state("three")));
    assert_eq!(again.state(key(2, 2), NOW + 10), None);
    assert_eq!((again.calls(), again.bytes()), (calls.calls(), calls.bytes()));
}

#[test]
fn a_second_process_does_not_get_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let (_calls, _) = open(&dir, NOW);
    let error = Calls::open(Some(dir.path()), SETTINGS, NOW).unwrap_err();
    assert!(matches!(error, StoreError::InUse(_)), "{error}");
}

#[test]
fn a_file_of_somebody_else_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(file(&dir), "trunkway calls 2\nand so on").unwrap();
    let error = Calls::open(Some(dir.path()), SETTINGS, NOW).unwrap_err();
    assert!(matches!(error, StoreError::NotCalls(_)), "{error}");
    assert!(fs::read_to_string(file(&dir)).unwrap().ends_with("so on"));
    // One that was just begun is gone on with.
    fs::write(file(&dir), "trunkway ca").unwrap();
    let (calls, _) = open(&dir, NOW);
    calls.keep(key(1, 1), state("one"), NOW);
    drop(calls);
    assert_eq!(open(&dir, NOW).0.calls(), 1);
}

#[test]
fn nobody_else_reads_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let (calls, _) = open(&dir, NOW);
    calls.keep(key(1, 1), state("one"), NOW);
    calls.compact().unwrap();
    assert_eq!(fs::metadata(file(&dir)).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn calls_are_let_go_when_it_is_time() {
    let calls = Calls::open(None, SETTINGS, NOW).unwrap().0;
    let (ringing, up, over) = (key(1, 1), key(2, 1), key(3, 1));
    for key in [ringing, up, over] {
        calls.keep(key, state("x"), NOW);
    }
    calls.mark_up(up.call, NOW);
    calls.mark_up(over.call, NOW);
    calls.mark_over(over.call, NOW + 10);
    let there = |now: u64| [ringing, up].map(|key| calls.state(key, now).is_some());
    assert_eq!(there(NOW + SETUP - 1), [true, true]);
    assert_eq!(there(NOW + SETUP), [false, true]);
    calls.tend(NOW + 9 + OVER).unwrap();
    assert_eq!(calls.calls(), 3);
    calls.tend(NOW + 10 + OVER).unwrap();
    assert_eq!(calls.calls(), 2);
    calls.tend(NOW + SETUP).unwrap();
    assert_eq!(calls.calls(), 1);
    // A refresh makes it last.
    let day = 86_400;
    calls.keep(key(2, 2), state("y"), NOW + 6 * day);
    assert!(calls.state(up, NOW + 12 * day).is_some());
    calls.tend(NOW + 13 * day).unwrap();
    assert_eq!((calls.calls(), calls.bytes()), (0, 0));
    assert_eq!(calls.counts.expired.load(Ordering::Relaxed), 3);
}

#[test]
fn a_call_that_was_taken_for_over_goes_on_when_it_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let (calls, _) = open(&dir, NOW);
    calls.keep(key(1, 1), state("x"), NOW);
    calls.mark_over(key(1, 0).call, NOW);
    // Late words on the call do not change that.
    calls.mark_up(key(1, 0).call, NOW + 1);
    calls.keep(key(1, 2), state("y"), NOW + 1);
    assert!(calls.state(key(1, 1), NOW + OVER - 1).is_some(), "another of its dialogs");
    assert!(calls.state(key(1, 1), NOW + 86_400).is_some());
    drop(calls);
    let (calls, _) = open(&dir, NOW + 86_400);
    assert!(calls.state(key(1, 1), NOW + 86_400).is_some(), "and after a restart");
    let silent = Calls::open(None, SETTINGS, NOW).unwrap().0;
    silent.keep(key(1, 1), state("x"), NOW);
    silent.mark_over(key(1, 0).call, NOW);
    assert_eq!(silent.state(key(1, 1), NOW + OVER), None);
}

#[test]
fn room_goes_by_calls_and_by_bytes() {
    let calls = Calls::open(None, SETTINGS, NOW).unwrap().0;
    let mut rooms = Vec::new();
    for call in 0..100 {
        calls.keep(key(call, 1), state("x"), NOW);
        rooms.push(calls.room());
    }
    assert_eq!((rooms[48], rooms[49], rooms[98], rooms[99]), (Room::Ample, Room::Little, Room::Little, Room::None));
    let calls = Calls::open(None, SETTINGS, NOW).unwrap().0;
    let long = Bytes::from(vec![7; 20 << 10]);
    for call in 0..20 {
        assert_ne!(calls.room(), Room::None);
        calls.keep(key(call, 1), long.clone(), NOW);
    }
    assert_eq!((calls.room(), calls.calls()), (Room::None, 20));
}

#[test]
fn a_call_keeps_its_last_items() {
    let calls = Calls::open(None, SETTINGS, NOW).unwrap().0;
    for item in 0..100 {
        calls.keep(key(1, item), state("x"), NOW);
    }
    assert_eq!((calls.state(key(1, 67), NOW), calls.state(key(1, 68), NOW)), (None, Some(state("x"))));
}

#[test]
fn what_cannot_be_written_is_kept_in_memory_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (mut calls, _) = open(&dir, NOW);
    // A file that takes nothing.
    let full =
        CallFile::of_file(&PathBuf::from("/dev/full"), OpenOptions::new().write(true).open("/dev/full").unwrap());
    calls.file = Some(Mutex::new(full));
    calls.keep(key(1, 1), state("x"), NOW);
    assert_eq!(calls.state(key(1, 1), NOW), Some(state("x")));
    assert_eq!(calls.counts.not_written.load(Ordering::Relaxed), 1);
}

#[test]
fn damaged_records_are_stepped_over() {
    let dir = tempfile::tempdir().unwrap();
    let (calls, _) = open(&dir, NOW);
    let mut ends = Vec::new();
    for call in 0..5 {
        calls.keep(key(call, 1), state("some state of a call"), NOW);
        ends.push(calls.file_bytes().unwrap() as usize);
    }
    drop(calls);
    let whole = fs::read(file(&dir)).unwrap();
    for at in ends[0]..ends[3] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        fs::write(file(&dir), &bytes).unwrap();
        let (calls, found) = open(&dir, NOW);
        assert_eq!((found.torn, found.damaged, found.calls), (0, 1, 4), "{at}");
        assert_eq!(calls.counts.damaged.load(Ordering::Relaxed), 1);
        // What comes after is written behind what is whole.
        calls.keep(key(9, 1), state("later"), NOW);
        drop(calls);
        assert_eq!(open(&dir, NOW).1.calls, 5);
    }
}

/// What a test does.
#[derive(Clone, Debug)]
enum Op {
    Keep { call: u64, item: u64, text: String },
    Up(u64),
    Over(u64),
    Read { call: u64, item: u64 },
    Pass(u64),
    Tend,
    Compact,
    Restart,
}

fn any_op() -> impl Strategy<Value = Op> {
    let (call, item) = (0_u64..6, 0_u64..4);
    prop_oneof![
        6 => (call.clone(), item.clone(), "[ -~]{0,60}").prop_map(|(call, item, text)| Op::Keep { call, item, text }),
        2 => call.clone().prop_map(Op::Up),
        2 => call.clone().prop_map(Op::Over),
        3 => (call, item).prop_map(|(call, item)| Op::Read { call, item }),
        2 => prop_oneof![Just(1), Just(OVER), Just(SETUP), Just(4 * 86_400)].prop_map(Op::Pass),
        1 => Just(Op::Tend),
        1 => Just(Op::Compact),
        1 => Just(Op::Restart),
    ]
}

/// The same in few words.
#[derive(Clone, Debug, Default)]
struct Model(HashMap<u64, (Stage, u64, HashMap<u64, String>)>);

impl Model {
    fn keep(&mut self, call: u64, item: u64, text: &str, now: u64) {
        self.expire(now);
        let (stage, until, items) = self.0.entry(call).or_insert_with(|| (Stage::Setup, 0, HashMap::new()));
        if items.get(&item).is_some_and(|there| there == text) {
            return;
        }
        let life = match stage {
            Stage::Setup => SETUP,
            Stage::Up => SETTINGS.max_age.as_secs(),
            Stage::Over => OVER,
        };
        *until = (*until).max(now + life);
        items.insert(item, text.to_owned());
    }

    fn stage(&mut self, call: u64, to: Stage, now: u64, from: &[Stage]) {
        self.expire(now);
        let life = if to == Stage::Up { SETTINGS.max_age.as_secs() } else { OVER };
        if let Some((stage, until, _)) = self.0.get_mut(&call).filter(|(stage, ..)| from.contains(stage)) {
            (*stage, *until) = (to, now + life);
        }
    }

    fn read(&mut self, call: u64, item: u64, now: u64) -> Option<String> {
        self.expire(now);
        let text = self.0.get(&call)?.2.get(&item)?.clone();
        self.stage(call, Stage::Up, now, &[Stage::Over]);
        Some(text)
    }

    fn expire(&mut self, now: u64) {
        self.0.retain(|_, (_, until, _)| *until > now);
    }

    /// What is alive, sorted.
    fn alive(&self, now: u64) -> Vec<(u64, u64, String)> {
        let calls = self.0.iter().filter(|(_, (_, until, _))| *until > now);
        let mut all: Vec<_> = calls
            .flat_map(|(call, (.., items))| items.iter().map(|(item, text)| (*call, *item, text.clone())))
            .collect();
        all.sort();
        all
    }
}

fn alive(calls: &Calls) -> Vec<(u64, u64, String)> {
    let records = (0..Table::SHARDS).flat_map(|shard| calls.table.records(shard));
    let mut all: Vec<_> = records
        .map(|record| match record {
            Record::Item { key: StoreKey { call, item }, bytes, .. } => {
                let call = (0..6).find(|&it| key(it, 0).call == call).unwrap();
                (call, item, String::from_utf8(bytes.to_vec()).unwrap())
            }
            Record::Stage { .. } => panic!("only items are listed"),
        })
        .collect();
    all.sort();
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_row_of_events_gives_what_a_map_gives(ops in proptest::collection::vec(any_op(), 0..60)) {
        let dir = tempfile::tempdir().unwrap();
        let (mut calls, mut model, mut now) = (open(&dir, NOW).0, Model::default(), NOW);
        for op in ops {
            match op {
                Op::Keep { call, item, text } => {
                    calls.keep(key(call, item), state(&text), now);
                    model.keep(call, item, &text, now);
                }
                Op::Up(call) => {
                    calls.mark_up(key(call, 0).call, now);
                    model.stage(call, Stage::Up, now, &[Stage::Setup]);
                }
                Op::Over(call) => {
                    calls.mark_over(key(call, 0).call, now);
                    model.stage(call, Stage::Over, now, &[Stage::Setup, Stage::Up]);
                }
                Op::Read { call, item } => {
                    let read = calls.state(key(call, item), now);
                    prop_assert_eq!(read, model.read(call, item, now).map(|text| state(&text)));
                }
                Op::Pass(seconds) => now += seconds,
                Op::Tend => calls.tend(now).unwrap(),
                Op::Compact => calls.compact().unwrap(),
                Op::Restart => {
                    drop(calls);
                    let (again, found) = open(&dir, now);
                    prop_assert_eq!((found.torn, found.damaged), (0, 0));
                    calls = again;
                }
            }
        }
        calls.tend(now).unwrap();
        prop_assert_eq!(alive(&calls), model.alive(now));
        drop(calls);
        prop_assert_eq!(alive(&open(&dir, now).0), model.alive(now));
    }

    #[test]
    fn a_file_that_was_cut_anywhere_has_all_whole_records(
        items in proptest::collection::vec((0_u64..6, 0_u64..4, "[ -~]{0,60}"), 1..20),
        cut in any::<prop::sample::Index>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut states = Vec::new();
        {
            let (calls, _) = open(&dir, NOW);
            let mut model = Model::default();
            states.push((calls.file_bytes().unwrap(), model.clone()));
            for (call, item, text) in &items {
                calls.keep(key(*call, *item), state(text), NOW);
                model.keep(*call, *item, text, NOW);
                states.push((calls.file_bytes().unwrap(), model.clone()));
            }
        }
        let bytes = fs::read(file(&dir)).unwrap();
        let cut = cut.index(bytes.len() + 1);
        fs::write(file(&dir), &bytes[..cut]).unwrap();
        let (calls, found) = open(&dir, NOW);
        let whole = states.iter().rfind(|(length, _)| *length <= cut as u64);
        let (length, model) = whole.cloned().unwrap_or((cut as u64, Model::default()));
        prop_assert_eq!(alive(&calls), model.alive(NOW));
        prop_assert_eq!((found.torn, found.damaged), (cut as u64 - length, 0));
        calls.keep(key(5, 9), state("later"), NOW);
        drop(calls);
        let (calls, found) = open(&dir, NOW);
        prop_assert_eq!((found.torn, found.damaged), (0, 0));
        prop_assert!(calls.state(key(5, 9), NOW).is_some());
    }

    #[test]
    fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let dir = tempfile::tempdir().unwrap();
        let mut out = OpenOptions::new().create(true).append(true).open(file(&dir)).unwrap();
        out.write_all(b"trunkway calls 1\n").unwrap();
        out.write_all(&bytes).unwrap();
        drop(out);
        let (_, found) = open(&dir, NOW);
        prop_assert_eq!((found.torn, found.calls), (bytes.len() as u64, 0));
    }
}

#[test]
fn what_comes_while_the_file_is_written_anew_is_in_the_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let calls = std::sync::Arc::new(open(&dir, NOW).0);
    let writer = {
        let calls = std::sync::Arc::clone(&calls);
        std::thread::spawn(move || {
            for call in 0..2_000_u64 {
                calls.keep(key(call, 1), state("state"), NOW);
                calls.mark_up(key(call, 0).call, NOW);
                if call % 2 == 0 {
                    calls.mark_over(key(call, 0).call, NOW);
                }
            }
        })
    };
    while !writer.is_finished() {
        calls.compact().unwrap();
    }
    writer.join().unwrap();
    assert!(calls.counts.compactions.load(Ordering::Relaxed) > 0);
    drop(calls);
    let (calls, found) = open(&dir, NOW + OVER);
    assert_eq!((found.torn, found.damaged, found.calls), (0, 0, 1_000));
    assert!(calls.state(key(1, 1), NOW + 86_400).is_some());
}

#[test]
fn a_file_that_is_mostly_dead_is_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (calls, _) = open(&dir, NOW);
    let long = Bytes::from(vec![7; 16 << 10]);
    for call in 0..400 {
        calls.keep(key(call, 1), long.clone(), NOW);
    }
    let bytes = calls.file_bytes().unwrap();
    assert!(bytes > COMPACT_BYTES);
    calls.tend(NOW).unwrap();
    assert_eq!(calls.file_bytes(), Some(bytes), "all of it is alive");
    calls.keep(key(999, 1), state("x"), NOW + SETUP - 1);
    calls.tend(NOW + SETUP).unwrap();
    assert!(calls.file_bytes().unwrap() < 200, "{:?}", calls.file_bytes());
    assert_eq!(calls.counts.compactions.load(Ordering::Relaxed), 1);
}
