//! How often reading a message may ask for memory: once at the most, and not at all for what is common.

#[path = "../benches/support/allocations.rs"]
mod allocations;
#[path = "../benches/support/messages.rs"]
mod messages;

use bytes::Bytes;
use trunkway::sip::{Essentials, Framing, Limits, Message};

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

fn parse(text: &Bytes) -> (u64, Message) {
    let limits = Limits::default();
    // The first clone of a `Bytes` makes its count of owners: that is the owner's business.
    drop(text.clone());
    allocations::during(|| Message::parse(text.clone(), Framing::Datagram, &limits).unwrap())
}

#[test]
fn a_common_message_is_indexed_without_an_allocation() {
    let text = Bytes::from(messages::teams_invite(7, "192.0.2.1:5060"));
    let (allocations, message) = parse(&text);
    assert_eq!((allocations, message.lines().len()), (0, 20));
    let (allocations, essentials) =
        allocations::during(|| Essentials::of_request(&message, &Limits::default()).is_ok());
    assert_eq!((allocations, essentials), (0, true));
}

#[test]
fn a_message_of_many_headers_is_indexed_with_one() {
    let many: String = (0..20).map(|number| format!("X-Header-{number}: value\r\n")).collect();
    let text = messages::teams_invite(7, "192.0.2.1:5060").replacen("\r\n\r\n", &format!("\r\n{many}\r\n"), 1);
    let (allocations, message) = parse(&Bytes::from(text));
    assert_eq!(message.lines().len(), 40);
    assert_eq!(allocations, 1);
}

#[test]
fn the_counter_counts() {
    let (allocations, text) = allocations::during(|| String::from("one block"));
    assert_eq!((allocations, text.len()), (1, 9));
    let before = allocations::count().live_bytes;
    let block = vec![0_u8; 1_000];
    assert_eq!(allocations::count().live_bytes - before, 1_000);
    drop(block);
    assert_eq!(allocations::count().live_bytes, before);
}
