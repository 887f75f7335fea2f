//! The bridge to the `rsip` crate: a typed view of a message for embedders and tools, and the second opinion of
//! the tests. It is kept off the wire: rsip refuses `/` in a Contact parameter, which stands in each in-dialog
//! request to Teams, and prints some messages otherwise than they came.

use super::message::Message;

/// Why rsip cannot show a message.
#[derive(Debug, thiserror::Error)]
#[error("rsip does not read this message: {0}")]
pub struct NotShown(String);

impl TryFrom<&Message> for rsip::SipMessage {
    type Error = NotShown;

    fn try_from(message: &Message) -> Result<Self, Self::Error> {
        Self::try_from(message.bytes().as_ref()).map_err(|error| NotShown(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rsip::prelude::{HasHeaders, HeadersExt, UntypedHeader};

    use super::*;
    use crate::sip::{Framing, Limits};

    fn message(text: &str) -> Message {
        Message::parse(Bytes::copy_from_slice(text.as_bytes()), Framing::Datagram, &Limits::default()).unwrap()
    }

    #[test]
    fn both_read_a_plain_request_alike() {
        let ours = message(
            "INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP pc33.example.com;branch=z9hG4bK776asdhds\r\nMax-Forwards: 70\r\n\
             To: Bob <sip:bob@example.com>\r\nFrom: Alice <sip:alice@example.com>;tag=1928301774\r\nCall-ID: a84b4c76e66710\r\n\
             CSeq: 314159 INVITE\r\nContact: <sip:alice@pc33.example.com>\r\nContent-Length: 4\r\n\r\nbody",
        );
        let theirs = rsip::SipMessage::try_from(&ours).unwrap();
        assert_eq!(theirs.headers().iter().count(), ours.lines().len());
        assert_eq!(theirs.call_id_header().unwrap().value().as_bytes(), ours.call_id().unwrap());
        assert_eq!(theirs.cseq_header().unwrap().seq().unwrap(), ours.cseq().unwrap().number);
        assert_eq!(
            theirs.from_header().unwrap().tag().unwrap().unwrap().to_string().as_bytes(),
            ours.from().unwrap().tag().unwrap()
        );
        assert_eq!(theirs.body(), ours.body());
    }

    /// Why rsip is not on the wire: when this fails, rsip has learnt it.
    #[test]
    fn rsip_refuses_the_request_line_of_a_bye_to_teams() {
        let ours =
            message("BYE sip:api-du-a-euno.pstnhub.microsoft.com:443;x-c=2a2b/s/1/b2d8 SIP/2.0\r\nCall-ID: a\r\n\r\n");
        assert!(rsip::SipMessage::try_from(&ours).is_err());
        assert_eq!(ours.uri().unwrap().param(b"x-c"), Some(Some(&b"2a2b/s/1/b2d8"[..])));
    }
}
