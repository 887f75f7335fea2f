use std::collections::BTreeMap;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::telemetry::logs::line::tests::line;
use crate::telemetry::logs::writer::{Sink, Writer};

/// Reads a datagram as the journal's documentation has it.
fn fields(mut bytes: &[u8]) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    while !bytes.is_empty() {
        let end = bytes.iter().position(|&byte| byte == b'\n').unwrap();
        let name = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let length = u64::from_le_bytes(bytes[end + 1..end + 9].try_into().unwrap()) as usize;
        let value = String::from_utf8(bytes[end + 9..end + 9 + length].to_vec()).unwrap();
        assert_eq!(bytes[end + 9 + length], b'\n');
        fields.insert(name, value);
        bytes = &bytes[end + 10 + length..];
    }
    fields
}

#[test]
fn the_journal_gets_fields() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let journal = UnixDatagram::bind(&path).unwrap();
    journal.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let writer = Writer::start(Sink::Journal(path.clone()), 100).unwrap();
    let evil = "line\nPRIORITY=0\nsecond";
    let line = line(
        "call over",
        vec![("call", json!("00ab")), ("reason", json!(evil)), ("log.x", json!(1)), ("priority", json!(2))],
    );
    writer.give(datagram(&line));
    let mut buffer = vec![0; 65_536];
    let length = journal.recv(&mut buffer).unwrap();
    let read = fields(&buffer[..length]);
    assert_eq!((&*read["PRIORITY"], &*read["CALL"], &*read["REASON"]), ("6", "00ab", evil));
    assert_eq!((&*read["SYSLOG_IDENTIFIER"], &*read["TARGET"]), ("trunkway", "trunkway::calls"));
    assert_eq!((&*read["LOG_X"], &*read["F_PRIORITY"]), ("1", "2"));
    assert!(read["MESSAGE"].starts_with("call over call=00ab"), "{read:?}");
    // A journal that is restarted has another socket.
    drop(journal);
    std::fs::remove_file(&path).unwrap();
    let journal = UnixDatagram::bind(&path).unwrap();
    journal.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    writer.give(datagram(&line));
    assert_eq!(journal.recv(&mut buffer).unwrap(), length);
}

#[test]
fn what_is_too_long_is_left_out() {
    let line = line("m", vec![("a", json!("x".repeat(MAX_DATAGRAM)))]);
    let read = fields(&datagram(&line));
    assert!(!read.contains_key("A"), "{:?}", read.keys());
    assert_eq!(stream("8:12345"), Some((8, 12_345)));
    assert_eq!((stream(""), stream("8"), stream("8:x")), (None, None, None));
}
