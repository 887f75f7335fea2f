//! Messages as Teams sends and gets them: all can be read, and what begins something is passed on as it came.

use std::fs;
use std::path::PathBuf;

use trunkway::sip::{Essentials, Framing, Limits, Message};

use super::daemon::data;
use super::expect::{assert_only_edited, outcome};
use super::peers::Stage;

/// The messages of both folders; none where the folders are not there.
fn messages() -> Vec<(PathBuf, Vec<u8>)> {
    let mut messages = Vec::new();
    for (folder, at_least) in [("teams-vectors", 28), ("teams-traces", 4)] {
        let Some(folder) = data(folder) else { return Vec::new() };
        let before = messages.len();
        let files = fs::read_dir(&folder).expect("the folder").map(|file| file.expect("a file").path());
        for path in files.filter(|path| path.extension().is_some_and(|extension| extension == "sip")) {
            let bytes = fs::read(&path).expect("the message");
            messages.push((path, bytes));
        }
        assert!(messages.len() - before >= at_least, "{} is whole", folder.display());
    }
    messages.sort();
    messages
}

#[test]
fn all_messages_can_be_read() {
    for (path, bytes) in messages() {
        let name = path.display();
        let message = Message::parse(bytes.into(), Framing::Datagram, &Limits::default());
        let message = message.unwrap_or_else(|flaw| panic!("{name}: {flaw}"));
        assert_eq!(message.flaw(), None, "{name}");
        if message.is_request() {
            let essentials = Essentials::of_request(&message, &Limits::default());
            let essentials = essentials.unwrap_or_else(|what| panic!("{name}: {what}"));
            assert!(essentials.uri.is_routable(), "{name}");
        } else {
            assert!(message.top_via().is_ok() && message.cseq().is_ok() && message.call_id().is_ok(), "{name}");
            assert!(message.from().is_ok() && message.to().is_ok(), "{name}");
        }
        assert!(message.contacts().all(|contact| contact.is_ok_and(|contact| contact.uri().is_ok())), "{name}");
        assert!(message.routes().chain(message.record_routes()).all(|route| route.is_ok()), "{name}");
    }
}

#[test]
fn requests_are_passed_on_as_they_came_where_the_dial_plan_sends_them() {
    let messages = messages();
    if messages.is_empty() {
        return;
    }
    let mut stage = Stage::open();
    let mut forwarded = 0;
    for (path, bytes) in messages {
        let message = Message::parse(bytes.clone().into(), Framing::Datagram, &Limits::default()).expect("a message");
        let wanted = match (message.is_request(), message.method()) {
            (false, _) => "drop",
            // Its INVITE is not cancelled: the sink has answered it.
            (_, b"CANCEL") => "200|481",
            // Those of a dialog too: the edge has not set it up, so they go where a new request would.
            _ => "forward",
        };
        stage.send(&bytes);
        let seen = stage.settle();
        if message.method() == b"ACK" {
            // Nobody answers it.
            assert_eq!(seen.forwarded.len(), 1, "{}", path.display());
            assert_only_edited(&stage.net, &bytes, &seen.forwarded[0]);
            forwarded += 1;
            continue;
        }
        outcome(&stage.net, &bytes, wanted, &seen).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
        forwarded += seen.forwarded.len();
    }
    assert!(forwarded >= 14, "{forwarded} forwarded");
    stage.ping();
}
