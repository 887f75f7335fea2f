//! What every request must have before anything is done with it (RFC 3261 sections 8.1.1 and 16.3 item 1).

use super::address::NameAddr;
use super::flaw::What;
use super::limits::Limits;
use super::message::Message;
use super::name::HeaderName;
use super::uri::Uri;
use super::values::CSeq;
use super::via::Via;

/// The values of a request that its handling always needs, read once.
#[derive(Clone, Copy, Debug)]
pub struct Essentials<'a> {
    pub uri: Uri<'a>,
    pub via: Via<'a>,
    pub cseq: CSeq<'a>,
    pub call_id: &'a [u8],
    pub from_tag: Option<&'a [u8]>,
    pub to_tag: Option<&'a [u8]>,
    pub max_forwards: Option<u8>,
}

impl<'a> Essentials<'a> {
    /// Reads and checks a request.
    ///
    /// # Errors
    /// The first fault; [`What::status`] is the answer it deserves. Faults of the Via come first: without
    /// one no answer can be sent.
    pub fn of_request(message: &'a Message, limits: &Limits) -> Result<Self, What> {
        let via = message.top_via()?;
        if let Some(flaw) = message.flaw() {
            return Err(flaw.what);
        }
        check_counts(message, limits)?;
        let cseq = message.cseq()?;
        let call_id = message.call_id()?;
        let from_tag = tag_of(message.from()?, What::From)?;
        let to_tag = tag_of(message.to()?, What::To)?;
        let max_forwards = message.max_forwards()?;
        if cseq.method != message.method() {
            return Err(What::CSeqMethod);
        }
        for contact in message.contacts() {
            contact?;
        }
        let uri = message.uri()?;
        if !uri.headers.is_empty() {
            return Err(What::UriHeaders);
        }
        Ok(Self { uri, via, cseq, call_id, from_tag, to_tag, max_forwards })
    }
}

/// The tag; one without a value is a fault, since an answer would carry a second one.
fn tag_of(address: NameAddr<'_>, fault: What) -> Result<Option<&[u8]>, What> {
    match address.param(b"tag") {
        Some(tag) => tag.value.map(Some).ok_or(fault),
        None => Ok(None),
    }
}

/// Refuses single headers that stand twice and lists longer than the limit.
fn check_counts(message: &Message, limits: &Limits) -> Result<(), What> {
    let mut seen = 0u32;
    for line in message.lines() {
        if line.name == HeaderName::Other {
            continue;
        }
        let bit = 1u32 << line.name as u8;
        if line.name.is_single() && seen & bit != 0 {
            return Err(What::Repeated);
        }
        seen |= bit;
    }
    for name in [HeaderName::Via, HeaderName::Route, HeaderName::RecordRoute, HeaderName::Contact] {
        let Some(first) = message.line(name) else { continue };
        let bytes: usize = message.lines_of(name).map(|line| usize::from(line.next - line.start)).sum();
        // A value takes two bytes at least, so that short lists need no count.
        if bytes >= limits.max_values_per_header && message.values(name).count() > limits.max_values_per_header {
            return Err(What::TooManyValues);
        }
        debug_assert_eq!(first.name, name);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::sip::Framing;

    #[test]
    fn a_tag_without_a_value_is_refused() {
        for (from, to, wanted) in [
            ("<sip:a@a>;tag=1", "<sip:b@b>", Ok(None)),
            ("<sip:a@a>;tag=1", "<sip:b@b>;tag=2", Ok(Some(&b"2"[..]))),
            ("<sip:a@a>;tag=1", "<sip:b@b>;tag;x=2", Err(What::To)),
            ("<sip:a@a>;TAG", "<sip:b@b>", Err(What::From)),
        ] {
            let text = format!(
                "BYE sip:b@b SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: c\r\nCSeq: 1 BYE\r\n\r\n"
            );
            let message = Message::parse(Bytes::from(text), Framing::Datagram, &Limits::default()).unwrap();
            let to_tag = Essentials::of_request(&message, &Limits::default()).map(|essentials| essentials.to_tag);
            assert_eq!(to_tag, wanted, "{from} {to}");
        }
    }
}
