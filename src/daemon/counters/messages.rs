//! Messages by method and class. A message costs one relaxed addition on a line of memory that its worker has for
//! itself; the stripes are summed when somebody reads the page.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crate::sip::Message;
use crate::telemetry::metrics::{Kind, Page, Series};

/// Methods that are told apart; the last one is all others, so that nobody can make series.
const METHODS: [&str; 15] = [
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "OPTIONS",
    "REGISTER",
    "PRACK",
    "UPDATE",
    "INFO",
    "REFER",
    "NOTIFY",
    "SUBSCRIBE",
    "MESSAGE",
    "PUBLISH",
    "other",
];

const OTHER: usize = METHODS.len() - 1;

/// Classes of status codes.
const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "6xx"];

/// More than machines have workers, mostly; two workers on one stripe are slower and as right.
const STRIPES: usize = 16;

/// Whose message it is.
#[derive(Clone, Copy, Debug)]
enum Way {
    Received,
    Sent,
}

/// Numbers that one worker adds to, away from those of the others.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe {
    requests: [[AtomicU64; METHODS.len()]; 2],
    responses: [[[AtomicU64; CLASSES.len()]; METHODS.len()]; 2],
}

/// Counts of messages.
#[derive(Debug, Default)]
pub struct Messages {
    on: AtomicBool,
    stripes: [Stripe; STRIPES],
}

thread_local! {
    /// The stripe of this thread.
    static STRIPE: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// The stripe that the next thread gets.
static NEXT: AtomicUsize = AtomicUsize::new(0);

impl Messages {
    /// Counts from now on, or no more.
    pub fn set_on(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }

    /// A message has come that is one of SIP's.
    pub fn received(&self, message: &Message) {
        if !self.on.load(Ordering::Relaxed) {
            return;
        }
        if message.is_request() {
            self.add_request(Way::Received, method(message.method()));
        } else if let Ok(cseq) = message.cseq() {
            self.add_response(Way::Received, method(cseq.method), class(message.status()));
        }
    }

    /// A request is about to leave.
    pub fn requested(&self, bytes: &[u8]) {
        if self.on.load(Ordering::Relaxed) {
            self.add_request(Way::Sent, method(word(bytes)));
        }
    }

    /// An answer is about to leave.
    pub fn answered(&self, bytes: &[u8]) {
        if self.on.load(Ordering::Relaxed) {
            // "SIP/2.0 200 OK"
            let class = bytes.get(8).map_or(usize::MAX, |digit| usize::from(digit.wrapping_sub(b'1')));
            self.add_response(Way::Sent, method(method_of_cseq(bytes)), class);
        }
    }

    fn add_request(&self, way: Way, method: usize) {
        if let Some(count) = self.stripe().and_then(|stripe| stripe.requests.get(way as usize)?.get(method)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn add_response(&self, way: Way, method: usize, class: usize) {
        let count = |stripe: &'_ Stripe| {
            stripe.responses.get(way as usize)?.get(method)?.get(class)?.fetch_add(1, Ordering::Relaxed).into()
        };
        let _: Option<u64> = self.stripe().and_then(count);
    }

    fn stripe(&self) -> Option<&Stripe> {
        let index = STRIPE.get();
        if index < STRIPES {
            return self.stripes.get(index);
        }
        let index = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES;
        STRIPE.set(index);
        self.stripes.get(index)
    }

    fn sum(&self, of: impl Fn(&Stripe) -> Option<&AtomicU64>) -> u64 {
        self.stripes.iter().filter_map(of).map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

impl Series for Messages {
    fn write(&self, page: &mut Page) {
        let requests = [
            (Way::Received, "trunkway_requests_received_total", "Requests that have come, copies included"),
            (Way::Sent, "trunkway_requests_sent_total", "Requests that were sent, those sent again included"),
        ];
        for (way, name, help) in requests {
            let mut family = page.family(name, Kind::Counter, help);
            for (index, method) in METHODS.into_iter().enumerate() {
                let count = self.sum(|stripe| stripe.requests.get(way as usize)?.get(index));
                family.count(&[("method", method)], count);
            }
        }
        let responses = [
            (Way::Received, "trunkway_responses_received_total", "Responses that have come, copies included"),
            (Way::Sent, "trunkway_responses_sent_total", "Responses that were sent, those sent again included"),
        ];
        for (way, name, help) in responses {
            let mut family = page.family(name, Kind::Counter, help);
            let kinds = METHODS.into_iter().enumerate().filter(|(_, method)| *method != "ACK");
            for (index, method) in kinds {
                for (place, class) in CLASSES.into_iter().enumerate() {
                    let count = self.sum(|stripe| stripe.responses.get(way as usize)?.get(index)?.get(place));
                    family.count(&[("method", method), ("class", class)], count);
                }
            }
        }
    }
}

/// The place of a method among [`METHODS`].
fn method(name: &[u8]) -> usize {
    match name {
        b"INVITE" => 0,
        b"ACK" => 1,
        b"BYE" => 2,
        b"CANCEL" => 3,
        b"OPTIONS" => 4,
        b"REGISTER" => 5,
        b"PRACK" => 6,
        b"UPDATE" => 7,
        b"INFO" => 8,
        b"REFER" => 9,
        b"NOTIFY" => 10,
        b"SUBSCRIBE" => 11,
        b"MESSAGE" => 12,
        b"PUBLISH" => 13,
        _ => OTHER,
    }
}

/// The place of a status among [`CLASSES`].
fn class(status: u16) -> usize {
    usize::from(status / 100).wrapping_sub(1)
}

/// What stands before the first blank.
fn word(bytes: &[u8]) -> &[u8] {
    let end = memchr::memchr(b' ', bytes).unwrap_or_default();
    bytes.get(..end).unwrap_or_default()
}

/// The method in the CSeq of a message that the edge has written: `CSeq: 1 INVITE`, in any case.
fn method_of_cseq(bytes: &[u8]) -> &[u8] {
    for at in memchr::memchr_iter(b'\n', bytes) {
        let Some(line) = bytes.get(at + 1..) else { break };
        if line.first() == Some(&b'\r') {
            break;
        }
        if line.get(..5).is_some_and(|name| name.eq_ignore_ascii_case(b"CSeq:") || name.eq_ignore_ascii_case(b"CSeq "))
        {
            let end = memchr::memchr(b'\r', line).unwrap_or(line.len());
            let value = line.get(..end).unwrap_or_default().trim_ascii_end();
            return value.rsplit(|byte| byte.is_ascii_whitespace()).next().unwrap_or_default();
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_its_place_and_others_share_one() {
        for (index, name) in METHODS.iter().enumerate() {
            assert_eq!(method(name.as_bytes()), index, "{name}");
        }
        assert_eq!((method(b"invite"), method(b""), method(b"X-1")), (OTHER, OTHER, OTHER));
    }

    #[test]
    fn messages_are_counted_when_it_is_on() {
        let messages = Messages::default();
        messages.requested(b"INVITE sip:a SIP/2.0\r\n\r\n");
        messages.set_on(true);
        messages.requested(b"INVITE sip:a SIP/2.0\r\n\r\n");
        messages.requested(b"XYZ sip:a SIP/2.0\r\n\r\n");
        messages.answered(b"SIP/2.0 486 Busy\r\nVia: x\r\nCSEQ: 17 BYE \r\nTo: y\r\n\r\nCSeq: 1 ACK");
        messages.answered(b"SIP/2.0 180 Ringing\r\nVia: x\r\nCSeq : 1\tINVITE\r\n\r\n");
        messages.answered(b"SIP/2.0 100 Trying\r\nVia: x\r\n\r\nCSeq: 1 INVITE");
        messages.answered(b"");
        let mut page = Page::default();
        messages.write(&mut page);
        let text = page.into_text();
        let counted: Vec<_> = text.lines().filter(|line| !line.starts_with('#') && !line.ends_with(" 0")).collect();
        assert_eq!(
            counted,
            [
                "trunkway_requests_sent_total{method=\"INVITE\"} 1",
                "trunkway_requests_sent_total{method=\"other\"} 1",
                "trunkway_responses_sent_total{method=\"INVITE\",class=\"1xx\"} 1",
                "trunkway_responses_sent_total{method=\"BYE\",class=\"4xx\"} 1",
                "trunkway_responses_sent_total{method=\"other\",class=\"1xx\"} 1",
            ]
        );
    }

    #[test]
    fn workers_add_up() {
        let messages = Messages::default();
        messages.set_on(true);
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| (0..1_000).for_each(|_| messages.requested(b"BYE sip:a SIP/2.0")));
            }
        });
        assert_eq!(messages.sum(|stripe| stripe.requests.get(Way::Sent as usize)?.get(2)), 20_000);
    }
}
