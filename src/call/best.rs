//! Which of several answers goes back (RFC 3261 section 16.7 items 6 and 7).

use bytes::Bytes;

use super::Tools;
use super::dialect::early::status_span;
use crate::sip::edit::write_decimal;
use crate::sip::{HeaderName, Message};

/// The best final answer so far, other than a 2xx.
#[derive(Clone, Debug)]
pub struct Best {
    pub status: u16,
    /// The answer without the edge's Via; `None` for one that the edge has yet to make (408, 503, 487).
    pub bytes: Option<Bytes>,
    /// Challenges of other branches, whole lines (item 7).
    challenges: Vec<u8>,
}

/// How good a final answer is: the smaller, the better. 6xx wins, then the lower class, within 4xx those that the
/// caller can act on, and a 503 only when there is nothing else.
fn rank(status: u16) -> u32 {
    let within = match status {
        401 | 407 => 0,
        415 | 420 | 484 => 1,
        408 => 3,
        503 => 9,
        _ => 2,
    };
    let class = if status >= 600 { 0 } else { u32::from(status / 100) };
    class * 10 + within
}

/// What a final answer is to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Final {
    /// What it counts as among others.
    pub rank: u16,
    /// What it is sent as.
    pub send: u16,
}

impl Final {
    /// An answer that nobody says anything of: it is what it is, but a received 503 is a 500, since it speaks of one
    /// target and not of the edge (RFC 3261 section 16.7 item 6).
    pub fn plain(status: u16, received: bool) -> Self {
        Self { rank: status, send: if received && status == 503 { 500 } else { status } }
    }
}

impl Best {
    /// Takes an answer of a branch into account. `response` is `None` for an answer made by the edge.
    pub fn offer(best: &mut Option<Self>, status: u16, response: Option<&Message>, tools: &mut Tools) {
        Self::offer_as(best, Final::plain(status, response.is_some()), response, tools);
    }

    /// Takes an answer that was made for the caller into account.
    pub fn offer_made(best: &mut Option<Self>, status: u16, bytes: Bytes) {
        if best.as_ref().is_none_or(|best| rank(status) < rank(best.status)) {
            let challenges = best.as_mut().map(|best| std::mem::take(&mut best.challenges)).unwrap_or_default();
            *best = Some(Self { status, bytes: Some(bytes), challenges });
        }
    }

    /// Takes an answer of a branch into account as what it is to the caller.
    pub fn offer_as(best: &mut Option<Self>, as_what: Final, response: Option<&Message>, tools: &mut Tools) {
        let Final { rank: status, send } = as_what;
        let beaten = best.as_ref().is_none_or(|best| rank(status) < rank(best.status));
        let mut challenges = best.as_mut().map(|best| std::mem::take(&mut best.challenges)).unwrap_or_default();
        if beaten {
            if let Some(old) = best.as_ref().and_then(|best| best.bytes.as_ref()) {
                add_challenges(old, &mut challenges);
            }
            let bytes = response.map(|response| without_own_via(response, send, tools));
            *best = Some(Self { status, bytes, challenges });
        } else {
            if let Some(response) = response {
                collect_challenges(response, &mut challenges);
            }
            if let Some(best) = best {
                best.challenges = challenges;
            }
        }
    }

    /// The answer to send, with the challenges of the other branches when it is a challenge itself.
    pub fn into_bytes(self, tools: &mut Tools) -> Option<Bytes> {
        let bytes = self.bytes?;
        if self.challenges.is_empty() || !matches!(self.status, 401 | 407) {
            return Some(bytes);
        }
        let Some(message) = Message::reread(&bytes) else { return Some(bytes) };
        tools.edits.clear();
        tools.edits.insert(message.header_block().end, &self.challenges);
        Some(tools.edits.apply(&message))
    }
}

/// The answer as it goes back, with this status: without the edge's Via and what belongs to the status that it had.
fn without_own_via(response: &Message, status: u16, tools: &mut Tools) -> Bytes {
    let came = response.status();
    tools.edits.clear();
    tools.edits.remove_values(response, HeaderName::Via, 1);
    if came == 503 {
        // When it is to be asked again is a matter between the edge and its target.
        tools.edits.remove_header(response, HeaderName::RetryAfter);
    }
    if came != status {
        tools.edits.replace_with(status_span(response), |out| {
            write_decimal(out, u64::from(status));
            out.push(b' ');
            out.extend_from_slice(reason(status).as_bytes());
        });
        for name in [HeaderName::WwwAuthenticate, HeaderName::ProxyAuthenticate, HeaderName::Contact] {
            tools.edits.remove_header(response, name);
        }
    }
    tools.edits.apply(response)
}

/// The words of RFC 3261 section 21 for an answer of the edge's own.
pub fn reason(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        410 => "Gone",
        420 => "Bad Extension",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        484 => "Address Incomplete",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        500 => "Server Internal Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        513 => "Message Too Large",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        _ => match status / 100 {
            3 => "Redirected",
            4 => "Request Failed",
            5 => "Server Failed",
            _ => "Declined",
        },
    }
}

fn add_challenges(bytes: &Bytes, out: &mut Vec<u8>) {
    if let Some(message) = Message::reread(bytes) {
        collect_challenges(&message, out);
    }
}

fn collect_challenges(response: &Message, out: &mut Vec<u8>) {
    if !matches!(response.status(), 401 | 407) {
        return;
    }
    for name in [HeaderName::WwwAuthenticate, HeaderName::ProxyAuthenticate] {
        for line in response.lines_of(name) {
            out.extend_from_slice(response.at(crate::sip::Span { start: line.start, end: line.next }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, headers: &str) -> Message {
        let text =
            format!("SIP/2.0 {status} Some Reason\r\nVia: SIP/2.0/UDP own\r\nVia: SIP/2.0/UDP far\r\n{headers}\r\n");
        Message::reread(&Bytes::from(text)).unwrap()
    }

    fn choose(answers: &[(u16, &str)]) -> String {
        let mut tools = Tools::default();
        let mut best = None;
        for (status, headers) in answers {
            Best::offer(&mut best, *status, Some(&response(*status, headers)), &mut tools);
        }
        let bytes = best.unwrap().into_bytes(&mut tools).unwrap();
        std::str::from_utf8(&bytes).unwrap().to_owned()
    }

    #[test]
    fn the_better_answer_wins_in_any_order() {
        for (answers, wanted) in [
            (&[486, 404][..], 486),
            (&[503, 486], 486),
            (&[603, 486], 603),
            (&[486, 603], 603),
            (&[500, 401], 401),
            (&[486, 407], 407),
            (&[408, 486], 486),
            (&[302, 486], 302),
            (&[503, 500], 500),
        ] {
            let answers: Vec<_> = answers.iter().map(|&status| (status, "")).collect();
            assert!(
                choose(&answers).starts_with(&format!("SIP/2.0 {wanted} Some Reason\r\nVia: SIP/2.0/UDP far\r\n\r\n")),
                "{answers:?}"
            );
        }
    }

    #[test]
    fn a_503_of_one_target_is_a_500_of_the_edge() {
        assert!(
            choose(&[(503, "Retry-After: 5\r\n")])
                .starts_with("SIP/2.0 500 Server Internal Error\r\nVia: SIP/2.0/UDP far\r\n")
        );
    }

    #[test]
    fn challenges_are_gathered() {
        let text = choose(&[
            (407, "Proxy-Authenticate: Digest realm=\"a\"\r\n"),
            (401, "WWW-Authenticate: Digest realm=\"b\"\r\n"),
            (486, ""),
        ]);
        assert!(text.contains("realm=\"a\"") && text.contains("realm=\"b\""), "{text}");
        let text = choose(&[(486, ""), (401, "WWW-Authenticate: Digest realm=\"b\"\r\n")]);
        assert!(text.starts_with("SIP/2.0 401") && text.matches("realm").count() == 1);
    }
}
