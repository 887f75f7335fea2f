//! What is on disk.

use serde_json::json;

use super::readings::{reading, settings};
use super::source::{Source, user};
use crate::directory::{Kept, Mirror, Store};
use crate::routing::people::UserRecord;

fn record(id: &str) -> UserRecord {
    UserRecord { id: id.to_owned(), extension: Some("400".to_owned()), ..UserRecord::default() }
}

#[test]
fn readings_and_notes_survive_and_are_each_tenants_own() {
    let dir = tempfile::tempdir().unwrap();
    let source = Source::new(2);
    for name in ["Alice", "Bob", "Carol"] {
        source.put(name, user(name, ""));
    }
    source.set_members("staff", &["Alice"]);
    let settings = crate::directory::Settings { group: Some("staff".into()), ..settings() };
    let first = reading(&source, &settings, &Mirror::default()).unwrap();
    let dealt = [("Bob".into(), "400".into())];
    {
        let store = Store::open(Some(dir.path())).unwrap();
        for tenant in ["abc", "abcd", "abb"] {
            store.keep_reading(tenant, &first).unwrap();
        }
        store.note("abc", &[record("alice"), record("bob")], &dealt).unwrap();
        store.keep_last("abc", &json!({ "result": "ok" })).unwrap();
    }
    source.remove("Bob");
    source.put("Alice", json!({ "displayName": "Alice Smith" }));
    let second = {
        let store = Store::open(Some(dir.path())).unwrap();
        let known = store.mirror("abc").unwrap();
        assert_eq!(known, first.mirror);
        let second = reading(&source, &settings, &known).unwrap();
        assert!(second.touched.is_some(), "the link is still good");
        store.keep_reading("abc", &second).unwrap();
        store.settle("abc", &[record("carol")], ["alice", "nobody"]).unwrap();
        second
    };
    let store = Store::open(Some(dir.path())).unwrap();
    assert_eq!(store.mirror("abc").unwrap(), second.mirror);
    assert_eq!(store.mirror("abcd").unwrap(), first.mirror);
    assert_eq!(store.mirror("other").unwrap(), Mirror::default());
    let put = [record("bob"), record("carol")].map(|record| (record.id.clone(), record));
    assert_eq!(store.kept("abc").unwrap(), Kept { put: put.into(), dealt: dealt.into() });
    assert_eq!(store.put_among("abc", ["carol", "alice"]).unwrap(), [record("carol")]);
    assert_eq!(store.kept("abcd").unwrap(), Kept::default());
    assert_eq!(store.last("abc").unwrap(), Some(json!({ "result": "ok" })));
    assert_eq!(store.last::<serde_json::Value>("abcd").unwrap(), None);
    // Everything anew: what is gone is gone of this tenant alone.
    let third = reading(&source, &settings, &Mirror::default()).unwrap();
    store.keep_reading("abc", &third).unwrap();
    assert_eq!(store.mirror("abc").unwrap().users.len(), 2);
    assert_eq!(store.mirror("abcd").unwrap().users.len(), 3);
    assert_eq!(store.mirror("abb").unwrap().users.len(), 3);
}

#[test]
fn store_of_another_process_is_not_taken_and_a_damaged_one_is_put_aside() {
    let dir = tempfile::tempdir().unwrap();
    let first = Store::open(Some(dir.path())).unwrap();
    let error = Store::open(Some(dir.path())).unwrap_err().to_string();
    assert!(error.contains("directory.redb"), "{error}");
    drop(first);
    std::fs::write(dir.path().join("directory.redb"), b"no store at all").unwrap();
    let store = Store::open(Some(dir.path())).unwrap();
    assert_eq!(store.kept("abc").unwrap(), Kept::default());
    assert!(dir.path().join("directory.redb.damaged").exists());
}

#[test]
fn without_a_state_directory_it_is_in_memory() {
    let store = Store::open(None).unwrap();
    store.note("abc", &[record("alice")], &[]).unwrap();
    assert_eq!(store.kept("abc").unwrap().put.len(), 1);
}
