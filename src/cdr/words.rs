//! How a call ended, in words.

use crate::call::CallRecord;
use crate::call::live::End;
use crate::call::live::hang_up::Cause;
use crate::call::record::Outcome;

/// Of a call that the process took with it.
pub(super) const LOST: &str = "it was up when the edge's process ended, and was not heard of any more";

/// How a call ended.
pub(super) fn result(record: &CallRecord) -> String {
    let side = |end| match end {
        End::Caller => "caller",
        End::Callee => "callee",
    };
    match record.outcome {
        Outcome::HungUp(end) => format!("the {} hung up", side(end)),
        Outcome::Ended(Cause::SessionExpired(end)) => format!("the {}'s side did not refresh its session", side(end)),
        Outcome::Ended(Cause::Gone(end)) => format!("the {}'s side does not know of the call any more", side(end)),
        Outcome::Ended(Cause::NotAcknowledged(end)) => {
            format!("the {}'s side never acknowledged a session change", side(end))
        }
        Outcome::Ended(Cause::Transferred) => "both sides were connected elsewhere".to_owned(),
        Outcome::Ended(Cause::Operator) => "an operator ended it".to_owned(),
        Outcome::Forgotten => "nothing was seen of it for very long".to_owned(),
        Outcome::Cancelled => "the caller gave up before it was answered".to_owned(),
        Outcome::Refused => match status(record.status) {
            Some(words) => format!("refused: {words}"),
            None => format!("refused with {}", record.status),
        },
        Outcome::Unreachable => "nobody could be reached".to_owned(),
        Outcome::NotPassed => match (&record.facts.limit, status(record.status)) {
            (Some(limit), _) => format!("not let through: the limit {limit}"),
            (None, Some(words)) => format!("not let through: {words}"),
            (None, None) => format!("not let through: {}", record.status),
        },
    }
}

/// What a status means for a call that failed (RFC 3261 section 21).
fn status(status: u16) -> Option<&'static str> {
    Some(match status {
        400 => "the request was malformed",
        401 | 407 => "credentials are wanted",
        403 => "not allowed",
        404 => "the number is unknown",
        408 => "no answer in time",
        410 => "the number is no longer in use",
        415 | 488 | 606 => "no media that both sides can do",
        420 | 421 => "a feature that the other side lacks",
        480 => "not available now",
        481 => "the other side does not know the call",
        482 | 483 => "the call went round in a loop",
        484 => "the number is incomplete",
        485 => "the number is ambiguous",
        486 | 600 => "busy",
        487 => "given up",
        500 => "the other side failed",
        501 | 505 => "the other side cannot do that",
        502 => "a gateway behind failed",
        503 => "the other side is overloaded or down",
        504 => "somebody further on did not answer in time",
        513 => "the message was too large",
        603 => "declined",
        604 => "the number exists nowhere",
        607 | 608 => "rejected as unwanted",
        _ => return None,
    })
}

/// What a cause of Q.850 means.
pub(super) fn q850(cause: u8) -> Option<&'static str> {
    Some(match cause {
        1 => "unallocated number",
        2 => "no route to the transit network",
        3 => "no route to the destination",
        4 => "special information tone",
        5 => "misdialled trunk prefix",
        6 => "channel unacceptable",
        7 => "call delivered on an established channel",
        8 => "preempted",
        16 => "normal clearing",
        17 => "user busy",
        18 => "no user responds",
        19 => "no answer from the user",
        20 => "subscriber absent",
        21 => "call rejected",
        22 => "number changed",
        23 => "redirected to a new destination",
        25 => "exchange routing error",
        26 => "non-selected user clearing",
        27 => "destination out of order",
        28 => "invalid number format",
        29 => "facility rejected",
        30 => "response to a status enquiry",
        31 => "normal, unspecified",
        34 => "no circuit available",
        38 => "network out of order",
        41 => "temporary failure",
        42 => "switching equipment congested",
        43 => "access information discarded",
        44 => "requested circuit not available",
        46 => "precedence call blocked",
        47 => "resource unavailable",
        49 => "quality of service unavailable",
        50 => "facility not subscribed",
        53 => "outgoing calls barred in the closed user group",
        55 => "incoming calls barred in the closed user group",
        57 => "bearer capability not authorised",
        58 => "bearer capability not available now",
        63 => "service or option not available",
        65 => "bearer capability not implemented",
        66 => "channel type not implemented",
        69 => "facility not implemented",
        70 => "restricted digital information only",
        79 => "service or option not implemented",
        81 => "invalid call reference",
        87 => "not a member of the closed user group",
        88 => "incompatible destination",
        91 => "invalid transit network",
        95 => "invalid message",
        96 => "mandatory element missing",
        97 => "message type not implemented",
        98 => "message not compatible with the call's state",
        99 => "element not implemented",
        100 => "invalid element contents",
        101 => "message not compatible with the call's state",
        102 => "a timer ran out",
        103 => "parameter not implemented",
        110 => "message with an unknown parameter discarded",
        111 => "protocol error",
        127 => "interworking, unspecified",
        _ => return None,
    })
}
