//! Microsoft's reasons in plain words: what the sub-codes and texts in Teams' answers and BYEs mean to an operator.
//!
//! Teams puts a text into Reason; its number shows in the admin centre, and in the text of some. Rows are looked through
//! from the first: one that names a number or a text comes before those that know the status only.

/// What is known of a reason. A row fits when all of it that is set does.
struct Row {
    /// The status; 0: any, as in a BYE.
    status: u16,
    /// Microsoft's number for it.
    code: u32,
    /// A piece of the text, in any case; empty: any.
    text: &'static str,
    words: &'static str,
}

const fn code(status: u16, code: u32, words: &'static str) -> Row {
    Row { status, code, text: "", words }
}

const fn text(text: &'static str, words: &'static str) -> Row {
    Row { status: 0, code: 0, text, words }
}

#[rustfmt::skip]
const ROWS: &[Row] = &[
    code(403, 510532, "Teams knows no tenant with the FQDN in the Contact: register it, or correct the site's name"),
    code(403, 510534, "the caller's number is blocked in Teams"),
    code(403, 510560, "the user is not enabled for Enterprise Voice"),
    code(403, 510562, "the user may not call outside"),
    code(403, 510563, "the user may call inside the country only"),
    code(403, 510559, "Teams has no route for this number"),
    code(403, 10500, "the user's site does not match the trunk's (location-based routing)"),
    code(403, 10199, "private calling is switched off for the user"),
    code(404, 511404, "the tenant has nobody with this number: mind its form, +E.164"),
    code(404, 10202, "the call that was to be replaced is gone: a transfer was tried again"),
    code(408, 1106, "the 200 was not acknowledged"),
    code(408, 500001, "the edge did not answer in the time that Teams waits (FailoverTimeSeconds)"),
    code(0, 531000, "the session description cannot be read, or no media in it are acceptable; SRTP is required"),
    code(0, 531004, "ICE found no path for the media"),
    code(0, 531005, "the path of the media broke"),
    code(0, 531027, "a trunk with media bypass got an offer without ICE candidates"),
    code(412, 510412, "the called number is malformed"),
    code(480, 10037, "the user is signed in nowhere"),
    code(480, 10191, "the user has no voicemail"),
    code(500, 510482, "the call goes round in a loop"),
    code(500, 510544, "Teams has no configuration for the trunk"),
    code(503, 10320, "the bot of the call is unreachable"),
    code(504, 549002, "TLS is not connected, or a first line that is no SIP/2.0 was sent"),
    code(504, 569002, "the edge refused the connection or did not answer"),
    code(504, 569003, "the TLS handshake failed: the certificate's name or usage is not what Teams wants"),
    code(504, 569008, "the edge's certificate has expired"),
    code(504, 569009, "the edge's certificate is of an authority that Teams does not trust"),
    code(487, 540200, "somebody else answered"),
    code(0, 560484, "the edge said that the number is incomplete"),
    code(0, 560503, "the edge said that it is unavailable"),
    text("Current call site state prevents fork", "the user's site does not match the trunk's (location-based routing)"),
    text("BackToBackSessionDeleted", "the call was taken over by another one in Teams, or ended there"),
    text("No callee endpoints were found", "the user is signed in nowhere"),
    text("CannotChangeRtcpMultiplexing", "rtcp-mux was changed in mid-call, which Teams does not allow"),
    text("SrtpEncryptionRequired", "the offer has no SRTP, which Teams requires"),
    text("Call completed elsewhere", "somebody else answered"),
    text("Loop detected", "the call goes round in a loop"),
    text("Invalid Request", "a first line that is no SIP/2.0 was sent"),
];

/// Numbers of this form were made by the edge: 560 and the status that it gave.
const FROM_EDGE: std::ops::RangeInclusive<u32> = 560_300..=560_699;

/// What Teams means by a status (0: that of a BYE) and the text of a Reason or Warning header; `None` when nothing is
/// known of it.
pub fn meaning(status: u16, reason: &[u8]) -> Option<&'static str> {
    let by_code = codes(reason).find_map(|found| {
        let same = ROWS.iter().filter(|row| row.code == found);
        // The number alone says it as well: gateways on the way change a status.
        let exact = same.clone().find(|row| row.status == status || row.status == 0);
        exact.or_else(|| same.clone().next()).map(|row| row.words)
    });
    let by_text = || {
        let contains =
            |wanted: &str| reason.windows(wanted.len()).any(|part| part.eq_ignore_ascii_case(wanted.as_bytes()));
        ROWS.iter().find(|row| !row.text.is_empty() && contains(row.text)).map(|row| row.words)
    };
    let by_edge = || codes(reason).any(|found| FROM_EDGE.contains(&found)).then_some("the edge's own answer ended it");
    by_code.or_else(by_text).or_else(by_edge)
}

/// Numbers of four to six digits in a text that stand alone: not those of a GUID.
fn codes(text: &[u8]) -> impl Iterator<Item = u32> {
    let words = text.split(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'-'));
    words.filter(|word| (4..=6).contains(&word.len())).filter_map(|word| std::str::from_utf8(word).ok()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_are_told_in_plain_words() {
        for (status, reason, wanted) in [
            (403, "Q.850;cause=21;text=\"7e3b1a20-1234-4a6b-8c7d-9e0f1a2b3c4d;510532;No tenant\"", "FQDN"),
            (403, "SIP;cause=403;text=\"510534\"", "blocked"),
            (404, "Q.850;cause=1;text=\"code=511404, number not found\"", "nobody with this number"),
            (503, "Q.850;cause=31;text=\"x;No callee endpoints were found.\"", "signed in nowhere"),
            (0, "Q.850;cause=22;text=\"b0a1;BackToBackSessionDeleted\"", "taken over"),
            (403, "Q.850;cause=63;text=\"g;Current call site state prevents fork to this entity.\"", "location-based"),
            (488, "SIP;text=\"cannotchangertcpmultiplexing\"", "rtcp-mux"),
            (488, "531027", "without ICE"),
            (503, "code 560486", "edge's own answer"),
            (503, "code 560503", "it is unavailable"),
            // The number says it, whatever became of the status.
            (500, "510532", "Contact"),
        ] {
            let words = meaning(status, reason.as_bytes()).unwrap_or_else(|| panic!("{reason}"));
            assert!(words.contains(wanted), "{reason}: {words}");
        }
    }

    #[test]
    fn what_is_not_known_is_not_made_up() {
        for reason in ["", "Q.850;cause=16;text=\"Normal\"", "b0a1c2d3-e4f5-1106-8c7d-9e0f1a2b3c4d", "text=\"9999\""] {
            assert_eq!(meaning(480, reason.as_bytes()), None, "{reason}");
        }
    }

    #[test]
    fn every_row_can_be_found() {
        for row in ROWS {
            let reason =
                if row.code > 0 { format!("text=\"{};x\"", row.code) } else { format!("text=\"{}\"", row.text) };
            assert_eq!(meaning(row.status, reason.as_bytes()), Some(row.words), "{reason}");
        }
    }
}
