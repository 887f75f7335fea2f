//! Headers that nobody knows, and whether they tell where their sender is.

use smallvec::SmallVec;

use crate::sip::{HeaderName, Message, NameAddr, Via};

/// The hosts by which the sender of a message names itself and what is behind it.
#[derive(Clone, Debug)]
pub(super) struct Near<'a>(SmallVec<[&'a [u8]; 8]>);

impl<'a> Near<'a> {
    /// Of a request all Vias, Contact, From and the routes; of an answer Contact and Record-Route.
    pub(super) fn of(message: &'a Message) -> Self {
        let mut hosts = SmallVec::new();
        let mut add = |host: &'a [u8]| {
            let host = host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]")).unwrap_or(host);
            // A name without a dot is a word like others.
            if may_hold_a_host(host) && !hosts.contains(&host) {
                hosts.push(host);
            }
        };
        let mut parties = SmallVec::<[HeaderName; 3]>::from_slice(&[HeaderName::Contact, HeaderName::RecordRoute]);
        if message.is_request() {
            let vias = message.values(HeaderName::Via).filter_map(Result::ok);
            vias.filter_map(|value| Via::parse(value).ok()).for_each(|via| add(via.host));
            parties.push(HeaderName::From);
        }
        for name in parties {
            let values = message.values(name).filter_map(Result::ok);
            let uris = values.filter_map(|value| NameAddr::parse(value).ok()?.uri().ok());
            uris.filter(|uri| !super::is_nobodys(uri.host)).for_each(|uri| add(uri.host));
        }
        Self(hosts)
    }

    /// Whether one of them, or a name under it, stands in a value.
    pub(super) fn stands_in(&self, value: &[u8]) -> bool {
        self.0.iter().any(|host| {
            let mut windows = value.windows(host.len()).enumerate();
            windows.any(|(at, window)| window.eq_ignore_ascii_case(host) && is_whole(value, at, host.len()))
        })
    }
}

/// Neither a part of a longer number or label, nor the beginning of a longer name.
fn is_whole(value: &[u8], at: usize, len: usize) -> bool {
    let is_label = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    let before = at.checked_sub(1).and_then(|before| value.get(before));
    let after = value.get(at + len..).unwrap_or_default();
    let goes_on = match after {
        [b'.', next, ..] => is_label(next),
        [next, ..] => is_label(next),
        [] => false,
    };
    !before.is_some_and(is_label) && !goes_on
}

/// Whether there can be a host of several labels, or an address, in a text.
pub(super) fn may_hold_a_host(text: &[u8]) -> bool {
    text.len() > 2 && memchr::memchr2(b'.', b':', text).is_some()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn senders_hosts_are_found_as_whole_names() {
        let text = "INVITE sip:1@edge SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1, SIP/2.0/UDP pbx\r\nFrom: <sip:a@Pbx.Example>\r\n\
            Contact: <sip:a@[2001:db8::7]:5060>\r\nRecord-Route: <sip:inner.example;lr>\r\n\r\n";
        let message = Message::reread(&Bytes::from(text)).unwrap();
        let near = Near::of(&message);
        for (value, tells) in [
            ("192.0.2.1", true),
            ("via 192.0.2.1:5060;x", true),
            ("192.0.2.10", false),
            ("1192.0.2.1", false),
            ("node1.pbx.example", true),
            ("my-pbx.example", false),
            ("pbx.example.net", false),
            ("see pbx.example.", true),
            ("sip:7@[2001:db8::7]", true),
            ("http://INNER.example/", true),
            ("pbx", false),
            ("", false),
        ] {
            assert_eq!(near.stands_in(value.as_bytes()), tells, "{value}");
        }
    }
}
