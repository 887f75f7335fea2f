use std::fs::File;
use std::io::Read;
use std::time::Instant;

use super::writer::Sink;
use super::*;

/// The log of this process can be set up once: all of it is one test.
#[test]
fn levels_change_while_lines_are_said_and_fall_back() {
    let settings = |filter: &str| Settings {
        filter: filter.to_owned(),
        pinned: false,
        format: Format::Text,
        color: false,
        queue: 1_000,
    };
    assert!(matches!(install(settings("info,")), Ok(_) | Err(LogError::Filter { .. })));
    let logs = match installed() {
        Some(logs) => logs,
        None => install(settings("info")).unwrap(),
    };
    logs.configure("info").unwrap();
    let debug = || tracing::enabled!(target: "trunkway::x", tracing::Level::DEBUG);
    assert!(!debug() && tracing::enabled!(target: "trunkway::x", tracing::Level::INFO));
    let first = logs.set(Some("info,trunkway::x=debug"), Some(1)).unwrap();
    assert!(debug() && !tracing::enabled!(target: "trunkway::y", tracing::Level::DEBUG));
    let second = logs.set(Some("debug"), None).unwrap();
    logs.end(first);
    assert!(debug(), "others were set meanwhile");
    logs.configure("warn").unwrap();
    assert!(debug(), "what was set at run time stays");
    logs.end(second);
    assert!(!tracing::enabled!(target: "trunkway::x", tracing::Level::INFO), "the new configuration is in force");
    assert!(matches!(logs.set(Some("x=loud"), None), Err(LogError::Filter { .. })));
    assert!(matches!(logs.set(Some(" "), None), Err(LogError::Filter { .. })));
    assert_eq!(logs.levels().filter(), "warn");
    logs.set(Some("info"), None).unwrap();
    logs.set(None, None).unwrap();
    assert_eq!(logs.levels(), Levels { configured: "warn".to_owned(), instead: None });
    logs.configure("off").unwrap();
}

#[test]
fn a_pipe_that_nobody_reads_costs_lines_and_no_time() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let file = File::from(std::os::fd::OwnedFd::from(writer));
    let writer = Writer::start(Sink::File(Arc::new(file)), 100).unwrap();
    let begin = Instant::now();
    let line = vec![b'x'; 4_096];
    (0..5_000).for_each(|_| writer.give(line.clone()));
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    let dropped = writer.dropped();
    assert!(dropped > 4_000, "{dropped}");
    let taken = (5_000 - dropped) * 4_096;
    std::thread::spawn(move || writer.flush(Duration::from_secs(30)));
    let mut buffer = vec![0; usize::try_from(taken).unwrap()];
    reader.read_exact(&mut buffer).unwrap();
}
