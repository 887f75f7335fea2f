//! What the headers of a NOTIFY say of its subscription (RFC 6665 sections 8.2.1 and 8.2.3).

use crate::sip::Message;
use crate::sip::scan::{Params, decimal, trim};

/// The value of Subscription-State.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SubscriptionState<'a> {
    Active {
        expires: Option<u32>,
    },
    /// The PBX has not decided yet: what such a NOTIFY says is not the truth (RFC 6665 section 4.2.1.3).
    Pending {
        expires: Option<u32>,
    },
    Terminated {
        reason: &'a [u8],
        retry_after: Option<u32>,
    },
}

impl<'a> SubscriptionState<'a> {
    /// Reads a NOTIFY. Without the header, which RFC 6665 demands, it counts as active; so do states that nobody knows.
    pub(super) fn of(notify: &'a Message) -> Self {
        let value = notify.other(b"subscription-state").unwrap_or_default();
        let end = memchr::memchr(b';', value).unwrap_or(value.len());
        let (word, params) = value.split_at(end);
        let find = |name| Params::new(params).find(name).and_then(|param| param.value);
        let seconds = |name| find(name).and_then(decimal).map(|time| u32::try_from(time).unwrap_or(u32::MAX));
        let word = trim(word);
        if word.eq_ignore_ascii_case(b"terminated") {
            let reason = find(b"reason").unwrap_or_default();
            Self::Terminated { reason, retry_after: seconds(b"retry-after") }
        } else if word.eq_ignore_ascii_case(b"pending") {
            Self::Pending { expires: seconds(b"expires") }
        } else {
            Self::Active { expires: seconds(b"expires") }
        }
    }
}

/// The package that a NOTIFY is about, without the parameters of Event; `None`: it does not say.
pub(super) fn event(notify: &Message) -> Option<&[u8]> {
    let value = notify.other(b"event").or_else(|| notify.other(b"o"))?;
    Some(trim(value.split(|&byte| byte == b';').next().unwrap_or_default()))
}

/// Min-Expires in seconds, of a 423 (RFC 3261 section 20.23).
pub(super) fn min_expires(answer: &Message) -> Option<u32> {
    let value = answer.other(b"min-expires")?;
    decimal(trim(value)).and_then(|seconds| u32::try_from(seconds).ok())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::sip::{Framing, Limits};

    fn notify(lines: &str) -> Message {
        let text = format!("NOTIFY sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP e\r\n{lines}\r\n");
        Message::parse(Bytes::from(text), Framing::Datagram, &Limits::TOP).unwrap()
    }

    #[test]
    fn states_are_read_with_their_parameters() {
        for (line, wanted) in [
            ("active;expires=3600", SubscriptionState::Active { expires: Some(3_600) }),
            ("ACTIVE ; Expires = 60", SubscriptionState::Active { expires: Some(60) }),
            ("pending", SubscriptionState::Pending { expires: None }),
            ("waiting;expires=x", SubscriptionState::Active { expires: None }),
            ("active;expires=99999999999", SubscriptionState::Active { expires: Some(u32::MAX) }),
            (
                "terminated;reason=probation;retry-after=30",
                SubscriptionState::Terminated { reason: b"probation", retry_after: Some(30) },
            ),
            ("terminated", SubscriptionState::Terminated { reason: b"", retry_after: None }),
        ] {
            let message = notify(&format!("Subscription-State: {line}\r\n"));
            assert_eq!(SubscriptionState::of(&message), wanted, "{line}");
        }
        assert_eq!(SubscriptionState::of(&notify("")), SubscriptionState::Active { expires: None });
    }

    #[test]
    fn events_are_read_in_either_form() {
        assert_eq!(event(&notify("Event: dialog;id=3\r\n")), Some(&b"dialog"[..]));
        assert_eq!(event(&notify("o: presence\r\n")), Some(&b"presence"[..]));
        assert_eq!(event(&notify("")), None);
        assert_eq!(min_expires(&notify("Min-Expires: 600\r\n")), Some(600));
        assert_eq!(min_expires(&notify("Min-Expires: soon\r\n")), None);
    }
}
