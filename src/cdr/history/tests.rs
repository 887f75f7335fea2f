use super::*;
use crate::call::record::Outcome;
use crate::cdr::entry::tests::{answered, record, style};

const NOW: u64 = 1_795_342_500_000;
const HOUR: u64 = 3_600_000;

fn settings() -> HistorySettings {
    HistorySettings { max_age: Duration::from_secs(30 * 86_400), max_records: 1_000_000, style: style() }
}

fn place(directory: &Path, settings: HistorySettings) -> (HistoryPlace, Arc<History>) {
    let history = History::new(settings);
    (HistoryPlace::new(directory, Arc::clone(&history), Box::new(|| NOW)), history)
}

/// A call of an hour before the last, with its numbers and tenant.
fn over(id: u64, hours_ago: u64, caller: &str, called: &str, tenant: &str) -> Arc<Over> {
    let mut over = answered(id, NOW - hours_ago * HOUR);
    let record = record(&mut over);
    (record.facts.caller, record.facts.called) = (caller.into(), called.into());
    record.facts.sent_to = Box::default();
    record.tenant = Some(tenant.into()).filter(|_| !tenant.is_empty());
    if id % 2 == 1 {
        (record.outcome, record.status) = (Outcome::Refused, 486);
        record.from.trunk = "pbx".into();
    }
    Arc::new(over)
}

fn keep(place: &mut HistoryPlace, records: &[Arc<Over>]) {
    let mut kept = 0;
    place.keep(records, &mut kept).unwrap();
    assert_eq!(kept, records.len());
}

fn ids(page: &Page) -> Vec<u64> {
    page.entries.iter().map(|entry| u64::from_str_radix(&entry.call, 16).unwrap()).collect()
}

fn who(tenant: Option<&str>, number: &str) -> Option<Vec<Who>> {
    Some(vec![Who { tenant: tenant.map(str::to_owned), number: number.to_owned() }])
}

#[test]
fn calls_are_found_by_whatever_is_known_of_them() {
    let directory = tempfile::tempdir().unwrap();
    let (mut place, history) = place(directory.path(), settings());
    assert!(matches!(history.find(&Ask::default()), Err(HistoryError::Opening)));
    keep(
        &mut place,
        &[
            over(1, 1, "+441632760001", "402", "contoso"),
            over(2, 2, "402", "+441632760001", "contoso"),
            over(3, 3, "402", "500", "fabrikam"),
            over(4, 4, "anna", "402", ""),
        ],
    );
    let all = Ask { limit: 10, ..Ask::default() };
    for (ask, wanted) in [
        (Ask { ..all.clone() }, vec![1, 2, 3, 4]),
        (Ask { who: who(None, "402"), ..all.clone() }, vec![1, 2, 3, 4]),
        (Ask { who: who(Some("contoso"), "402"), ..all.clone() }, vec![1, 2]),
        (Ask { who: who(None, "44 1632 760001"), ..all.clone() }, vec![1, 2]),
        (Ask { who: who(None, "Anna"), ..all.clone() }, vec![4]),
        (Ask { who: who(None, "402"), with: who(None, "500"), ..all.clone() }, vec![3]),
        (Ask { with: who(None, "500"), ..all.clone() }, vec![3]),
        (Ask { tenant: Some("contoso".to_owned()), ..all.clone() }, vec![1, 2]),
        (Ask { tenant: Some("conto".to_owned()), ..all.clone() }, vec![]),
        (Ask { trunk: Some("pbx".to_owned()), ..all.clone() }, vec![1, 3]),
        (Ask { trunk: Some("teams".to_owned()), tenant: Some("fabrikam".to_owned()), ..all.clone() }, vec![3]),
        (Ask { outcome: Some("failed".to_owned()), ..all.clone() }, vec![1, 3]),
        (Ask { outcome: Some("answered".to_owned()), ..all.clone() }, vec![2, 4]),
        (Ask { outcome: Some("refused".to_owned()), ..all.clone() }, vec![1, 3]),
        (Ask { since: Some(NOW - 3 * HOUR), until: Some(NOW - HOUR), ..all.clone() }, vec![2, 3]),
        (Ask { since: Some(NOW), until: Some(NOW - HOUR), ..all.clone() }, vec![]),
        (Ask { since: Some(u64::MAX), ..all.clone() }, vec![]),
    ] {
        assert_eq!(ids(&history.find(&ask).unwrap()), wanted, "{ask:?}");
    }
    assert_eq!(history.of_call("0000000000000003").unwrap().len(), 1);
    assert!(history.of_call("3").unwrap().is_empty());
    assert_eq!(history.records(), 4);
}

#[test]
fn pages_have_all_and_each_once() {
    let directory = tempfile::tempdir().unwrap();
    let (mut place, history) = place(directory.path(), settings());
    // Many begin in the same millisecond.
    let records: Vec<_> = (0..50).map(|id| over(id, id / 20, "402", "500", "contoso")).collect();
    records.chunks(7).for_each(|some| keep(&mut place, some));
    for who in [
        None,
        who(None, "402"),
        Some(vec![Who { tenant: None, number: "402".to_owned() }, Who { tenant: None, number: "500".to_owned() }]),
    ] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = history.find(&Ask { who: who.clone(), limit: 8, after, ..Ask::default() }).unwrap();
            seen.extend(ids(&page));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen.len(), 50);
        seen.sort_unstable();
        assert_eq!(seen, (0..50).collect::<Vec<_>>());
    }
}

#[test]
fn a_restart_finds_what_was_kept_and_old_entries_go() {
    let directory = tempfile::tempdir().unwrap();
    let (mut first, _) = place(directory.path(), settings());
    let records: Vec<_> = (0..30).map(|id| over(id, id * 24, "402", "500", "contoso")).collect();
    keep(&mut first, &records);
    drop(first);
    let wanted = HistorySettings { max_age: Duration::from_secs(10 * 86_400 + 1), ..settings() };
    let (mut second, history) = place(directory.path(), wanted);
    second.tend().unwrap();
    assert_eq!(history.records(), 11);
    let all = Ask { limit: 100, ..Ask::default() };
    assert_eq!(ids(&history.find(&all).unwrap()), (0..11).collect::<Vec<_>>());
    history.set(HistorySettings { max_records: 3, ..settings() });
    second.expired = None;
    second.tend().unwrap();
    assert_eq!(ids(&history.find(&all).unwrap()), [0, 1, 2]);
    let by_number = Ask { who: who(None, "402"), ..all };
    assert_eq!(ids(&history.find(&by_number).unwrap()), [0, 1, 2], "the index has no more");
}

#[test]
fn a_damaged_store_is_moved_aside() {
    let directory = tempfile::tempdir().unwrap();
    let (mut first, _) = place(directory.path(), settings());
    keep(&mut first, &[over(1, 1, "402", "500", "")]);
    drop(first);
    let path = directory.path().join(FILE);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[..200].fill(0x5a);
    for damaged in [bytes, b"no store at all".to_vec(), Vec::new()] {
        let is_empty = damaged.is_empty();
        std::fs::write(&path, damaged).unwrap();
        let (mut second, history) = place(directory.path(), settings());
        keep(&mut second, &[over(2, 1, "402", "500", "")]);
        assert_eq!(ids(&history.find(&Ask { limit: 9, ..Ask::default() }).unwrap()), [2]);
        assert_eq!(history.was_damaged(), !is_empty, "an empty file is a new store");
    }
    let aside = std::fs::read_dir(directory.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("history.redb.damaged-"));
    assert!(aside.count() >= 1);
}

#[test]
fn masked_numbers_are_found_by_what_is_left_of_them() {
    let directory = tempfile::tempdir().unwrap();
    let mask = crate::call::mask::Mask::new(Some(3));
    let wanted = HistorySettings { style: Style { mask, ..style() }, ..settings() };
    let (mut place, history) = place(directory.path(), wanted);
    keep(&mut place, &[over(1, 1, "+441632760001", "500", "")]);
    let number = mask.number("+441632760001").into_owned();
    let found = history.find(&Ask { who: who(None, &number), limit: 9, ..Ask::default() }).unwrap();
    assert_eq!(found.entries[0].caller, "+*********001");
}
