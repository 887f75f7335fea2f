//! All rows of the table, over UDP, over TCP in one piece, and over TCP byte by byte.

use std::collections::HashMap;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use trunkway::sip::{Framing, HeaderName, Limits, Message};

use super::daemon::{T1, data};
use super::expect::{assert_only_edited, outcome};
use super::peers::{PATIENCE, Seen, Stage};

/// A message of the table.
pub struct Row {
    pub name: String,
    pub bytes: Vec<u8>,
    /// What may become of it; alternatives are parted by `|`.
    pub wanted: String,
}

pub fn rows(folder: &Path) -> Vec<Row> {
    let table = fs::read_to_string(folder.join("index.tsv")).expect("the table");
    let rows: Vec<_> = table
        .lines()
        .skip(1)
        .map(|line| {
            let fields: Vec<_> = line.split('\t').collect();
            let name = fields[0].to_owned();
            let bytes = fs::read(folder.join(format!("{name}.sip"))).expect("the message");
            let wanted = format!("{}|{}", fields[5], fields[6]).replace("(udp)", "");
            Row { name, bytes, wanted }
        })
        .collect();
    assert!(rows.len() >= 50, "the table is whole");
    rows
}

/// What decides whether two messages are the same transaction to the edge: branch, sent-by host and method.
type Transaction = (Vec<u8>, Vec<u8>, Vec<u8>);

fn transaction(bytes: &[u8]) -> Option<Transaction> {
    let message = Message::parse(bytes.to_vec().into(), Framing::Datagram, &Limits::default()).ok()?;
    let via = message.top_via().ok()?;
    Some((via.branch?.to_vec(), via.host.to_vec(), message.method().to_vec()))
}

/// What the edge may still remember, and since when.
#[derive(Default)]
struct Memory(HashMap<Transaction, Instant>);

impl Memory {
    /// Lets the edge forget a request for whose copy this message would be taken.
    fn before(&mut self, bytes: &[u8]) {
        let Some(transaction) = transaction(bytes) else { return };
        if let Some(seen) = self.0.get(&transaction) {
            std::thread::sleep((T1 * 64 + Duration::from_secs(1)).saturating_sub(seen.elapsed()));
        }
        self.0.insert(transaction, Instant::now());
    }
}

#[test]
fn over_udp_every_message_comes_to_what_the_table_says() {
    let Some(folder) = data("rfc4475") else { return };
    let mut stage = Stage::open();
    let mut memory = Memory::default();
    let mut faults = Vec::new();
    for row in rows(&folder) {
        memory.before(&row.bytes);
        stage.send(&row.bytes);
        let seen = stage.settle();
        if let Err(fault) = outcome(&stage.net, &row.bytes, &row.wanted, &seen) {
            faults.push(format!("{}: {fault}", row.name));
        }
    }
    stage.ping();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// How the end of a message is found in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frames {
    /// As long as the message is: what follows is the next message.
    Whole,
    /// More bytes are awaited than come; the connection is closed when they do not.
    Unfinished,
    /// Nobody knows; the connection is closed at once.
    Lost,
}

fn frames(row: &Row) -> Frames {
    match row.name.as_str() {
        // A Content-Length over what comes; a head that does not end; a body that nothing announces, so that it is
        // taken for the head of another message.
        "clerr" | "baddn" | "inv2543" => Frames::Unfinished,
        "ncl" | "mcl01" => Frames::Lost,
        _ => Frames::Whole,
    }
}

fn connect(stage: &Stage) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((stage.net.sender, 0)).into()).expect("the sender's address");
    socket.connect(&stage.net.edge.into()).expect("a connection");
    socket.set_tcp_nodelay(true).expect("an option");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
    stream
}

/// Reads answers until `done` has enough or the edge closes; true when it closed.
fn read_answers(stream: &mut TcpStream, seen: &mut Seen, done: impl Fn(&[u8]) -> bool) -> bool {
    let (end, mut text) = (Instant::now() + PATIENCE, Vec::new());
    let mut buffer = [0; 4_096];
    loop {
        assert!(Instant::now() < end, "neither an answer nor the end: {}", String::from_utf8_lossy(&text));
        match stream.read(&mut buffer) {
            Ok(0) => {
                assert!(text.is_empty(), "half an answer");
                return true;
            }
            Ok(length) => text.extend_from_slice(&buffer[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return true,
            Err(error) => panic!("{error}"),
        }
        // Answers of the edge and of the sink have no body.
        while let Some(at) = text.windows(4).position(|part| part == b"\r\n\r\n") {
            let answer: Vec<u8> = text.drain(..at + 4).collect();
            if done(&answer) {
                return false;
            }
            seen.take_answer(answer);
        }
    }
}

/// Sends one row and tells what came of it; the connection when it is still to be closed by the edge.
fn send_row(stage: &mut Stage, row: &Row, byte_by_byte: bool) -> (Seen, Option<TcpStream>) {
    let (mut seen, mut stream) = (Seen::default(), connect(stage));
    let pieces = if byte_by_byte { 1 } else { row.bytes.len() };
    for piece in row.bytes.chunks(pieces) {
        match stream.write_all(piece) {
            Ok(()) => {}
            // The edge has given up already; the rest would not be read.
            Err(error) if frames(row) == Frames::Lost => {
                assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error}");
                break;
            }
            Err(error) => panic!("{}: {error}", row.name),
        }
    }
    match frames(row) {
        Frames::Whole => {
            let (mark, id) = stage.next_mark();
            stream.write_all(mark.as_bytes()).expect("the connection stays open");
            let closed = read_answers(&mut stream, &mut seen, |answer| String::from_utf8_lossy(answer).contains(&id));
            assert!(!closed, "{}: the edge closed the connection", row.name);
            stage.forwarded_until(&id, &mut seen);
            (seen, None)
        }
        Frames::Lost => {
            assert!(read_answers(&mut stream, &mut seen, |_| false));
            seen.forwarded.append(&mut stage.settle().forwarded);
            (seen, None)
        }
        Frames::Unfinished if row.name == "inv2543" => {
            read_answers(&mut stream, &mut seen, |answer| {
                // The sink's answer, which is taken down below.
                super::peers::status(answer) == 200
            });
            seen.forwarded.append(&mut stage.settle().forwarded);
            (seen, Some(stream))
        }
        Frames::Unfinished => {
            seen.forwarded.append(&mut stage.settle().forwarded);
            (seen, Some(stream))
        }
    }
}

fn over_tcp(byte_by_byte: bool) {
    let Some(folder) = data("rfc4475") else { return };
    let mut stage = Stage::open();
    let mut memory = Memory::default();
    let (mut faults, mut unfinished) = (Vec::new(), Vec::new());
    for row in rows(&folder) {
        memory.before(&row.bytes);
        let (seen, open) = send_row(&mut stage, &row, byte_by_byte);
        unfinished.extend(open.map(|stream| (row.name.clone(), stream)));
        let checked = match (row.name.as_str(), frames(&row)) {
            // What is too much in a datagram is the next message of a stream.
            ("dblreq", _) => dblreq(&stage, &row, &seen),
            // A stream's message without Content-Length has no body.
            ("inv2543", _) => {
                let message = Message::parse(row.bytes.clone().into(), Framing::Datagram, &Limits::default()).unwrap();
                let head = &row.bytes[..usize::from(message.body_span().start)];
                assert_eq!(seen.forwarded.len(), 1);
                assert_only_edited(&stage.net, head, &seen.forwarded[0]);
                Ok(())
            }
            (_, Frames::Unfinished) => outcome(&stage.net, &row.bytes, "drop", &seen),
            (_, Frames::Lost) => outcome(&stage.net, &row.bytes, "drop|400", &seen),
            _ => outcome(&stage.net, &row.bytes, &row.wanted, &seen),
        };
        if let Err(fault) = checked {
            faults.push(format!("{}: {fault}", row.name));
        }
    }
    for (name, mut stream) in unfinished {
        let mut seen = Seen::default();
        assert!(read_answers(&mut stream, &mut seen, |_| false), "{name}: the connection is closed in the end");
        assert!(seen.answers.is_empty(), "{name}");
    }
    stage.ping();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Both requests of `dblreq` go on.
fn dblreq(stage: &Stage, row: &Row, seen: &Seen) -> Result<(), String> {
    let first = Message::parse(row.bytes.clone().into(), Framing::Datagram, &Limits::default()).unwrap();
    let second = row.bytes[first.bytes().len()..].trim_ascii_start();
    if seen.forwarded.len() != 2 || seen.statuses() != [200, 200] {
        return Err(format!("forwarded {}, answered {:?}", seen.forwarded.len(), seen.statuses()));
    }
    let came = [first.bytes(), second];
    for forwarded in &seen.forwarded {
        let method = forwarded.split(|&byte| byte == b' ').next().unwrap_or_default();
        let came = came.iter().find(|came| came.starts_with(method)).ok_or("another method")?;
        assert_only_edited(&stage.net, came, forwarded);
    }
    Ok(())
}

#[test]
fn over_tcp_in_one_piece_every_message_comes_to_what_the_table_says() {
    over_tcp(false);
}

#[test]
fn over_tcp_byte_by_byte_every_message_comes_to_what_the_table_says() {
    over_tcp(true);
}

/// The rows' messages that name a length are as long as they say: the tests above rely on it.
#[test]
fn the_framing_of_the_rows_is_as_the_tests_take_it() {
    let Some(folder) = data("rfc4475") else { return };
    for row in rows(&folder) {
        let Ok(message) = Message::parse(row.bytes.clone().into(), Framing::Datagram, &Limits::default()) else {
            continue;
        };
        let whole = message.body().is_empty() || message.line(HeaderName::ContentLength).is_some();
        assert_eq!(whole, row.name != "inv2543", "{}", row.name);
    }
}
