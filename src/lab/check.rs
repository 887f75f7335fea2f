//! What RFC 3261 asks of single messages, judged for the side that received them; each fault names its section.

use super::message::{Address, Message, Via};
use super::wire::Transport;

/// The cookie of every branch (RFC 3261 section 8.1.1.7).
pub const MAGIC: &str = "z9hG4bK";

/// What every request must have (RFC 3261 section 8.1.1), as seen by the one that got it over `transport`.
pub fn request_faults(request: &Message, transport: Transport) -> Vec<String> {
    let mut faults = Vec::new();
    common_faults(request, &mut faults);
    let method = request.method().unwrap_or_default();
    match request.cseq() {
        Some((_, of)) if of != method => {
            faults.push(format!("CSeq says {of} in a {method} (RFC 3261 section 8.1.1.5)"));
        }
        _ => {}
    }
    match request.value("Max-Forwards").map(str::parse::<u8>) {
        None => faults.push(format!("{method} without Max-Forwards (RFC 3261 section 8.1.1.6)")),
        Some(Err(_)) => faults.push("Max-Forwards is no number of 0 to 255 (RFC 3261 section 20.22)".into()),
        Some(Ok(_)) => {}
    }
    if request.tag("From").is_none_or(|tag| tag.is_empty()) {
        faults.push(format!("{method} without From tag (RFC 3261 section 8.1.1.3)"));
    }
    via_faults(request, transport, &mut faults);
    if method == "INVITE" && request.list("Contact").len() != 1 {
        faults.push("INVITE without exactly one Contact (RFC 3261 section 8.1.1.8)".into());
    }
    if ["ACK", "CANCEL"].contains(&method) && request.lines("Require").next().is_some() {
        faults.push(format!("{method} with Require (RFC 3261 section 8.2.2.3)"));
    }
    for name in ["Route", "Record-Route"] {
        for value in request.list(name) {
            if !value.contains('<') || Address::parse(&value).is_none() {
                faults.push(format!("{name} {value:?} is no name-addr (RFC 3261 section 20.30)"));
            }
        }
    }
    if method == "INVITE" && !request.body.is_empty() && request.value("Content-Type").is_none() {
        faults.push("a body without Content-Type (RFC 3261 section 20.15)".into());
    }
    faults
}

/// What a response must share with the request that it answers (RFC 3261 section 8.2.6.2).
pub fn response_faults(response: &Message, request: &Message) -> Vec<String> {
    let mut faults = Vec::new();
    common_faults(response, &mut faults);
    let code = response.code().unwrap_or_default();
    let vias = response.list("Via");
    if vias.len() != 1 {
        faults.push(format!(
            "{code} reached its client with {} Via values instead of one (RFC 3261 section 16.7)",
            vias.len()
        ));
    }
    if let (Some(got), Some(sent)) = (response.top_via(), request.top_via())
        && (got.host != sent.host || got.port != sent.port)
    {
        faults.push(format!("the sent-by of our Via came back changed in a {code} (RFC 3261 section 8.2.6.2)"));
    }
    if response.call_id() != request.call_id() {
        faults.push(format!("Call-ID of a {code} is not that of the request (RFC 3261 section 8.2.6.2)"));
    }
    if response.value("CSeq") != request.value("CSeq") {
        faults.push(format!("CSeq of a {code} is not that of the request (RFC 3261 section 8.2.6.2)"));
    }
    if !same_party(response.value("From"), request.value("From"), true) {
        faults.push(format!("From of a {code} is not that of the request (RFC 3261 section 8.2.6.2)"));
    }
    let had_tag = request.tag("To").is_some();
    if !same_party(response.value("To"), request.value("To"), had_tag) {
        faults.push(format!("To of a {code} is not that of the request (RFC 3261 section 8.2.6.2)"));
    }
    if code > 100 && response.tag("To").is_none() {
        faults.push(format!("{code} without To tag (RFC 3261 section 8.2.6.2)"));
    }
    let invite = request.method() == Some("INVITE");
    if invite && (200..300).contains(&code) && response.list("Contact").len() != 1 {
        faults.push(format!("{code} to INVITE without exactly one Contact (RFC 3261 section 12.1.1)"));
    }
    faults
}

/// What holds for requests and responses alike.
fn common_faults(message: &Message, faults: &mut Vec<String>) {
    for name in ["From", "To", "Call-ID", "CSeq"] {
        let count = message.lines(name).count();
        if count != 1 {
            faults.push(format!("{count} lines of {name} instead of one (RFC 3261 section 8.1.1)"));
        }
    }
    if message.lines("Max-Forwards").count() > 1 {
        faults.push("more than one Max-Forwards (RFC 3261 section 7.3.1)".into());
    }
    for name in ["From", "To"] {
        if message.value(name).is_some_and(|value| Address::parse(value).is_none()) {
            faults.push(format!("{name} cannot be read (RFC 3261 section 20)"));
        }
    }
    if message.value("CSeq").is_some() && message.cseq().is_none() {
        faults.push("CSeq cannot be read (RFC 3261 section 20.16)".into());
    }
    let vias = message.list("Via");
    if vias.is_empty() {
        faults.push("no Via (RFC 3261 section 8.1.1.7)".into());
    }
    for via in &vias {
        if Via::parse(via).is_none() {
            faults.push(format!("Via {via:?} cannot be read (RFC 3261 section 20.42)"));
        }
    }
}

fn via_faults(request: &Message, transport: Transport, faults: &mut Vec<String>) {
    let Some(via) = request.top_via() else { return };
    match via.parameter("branch") {
        Some(branch) if branch.len() > MAGIC.len() && branch.starts_with(MAGIC) => {
            let below = request.list("Via");
            let again = below.iter().skip(1).filter_map(|via| Via::parse(via));
            if again.into_iter().any(|older| older.parameter("branch") == Some(branch)) {
                faults.push("the top branch stands in a lower Via too (RFC 3261 section 16.6 item 8)".into());
            }
        }
        _ => faults.push(format!("top Via without a branch that starts with {MAGIC} (RFC 3261 section 8.1.1.7)")),
    }
    if !via.transport.eq_ignore_ascii_case(transport.token()) {
        faults.push(format!(
            "top Via says {} but the request came over {} (RFC 3261 section 18.1.1)",
            via.transport,
            transport.token()
        ));
    }
}

/// Whether two From or To values name the same party; names may be quoted differently.
fn same_party(a: Option<&str>, b: Option<&str>, with_tag: bool) -> bool {
    let read = |value: Option<&str>| value.and_then(Address::parse);
    match (read(a), read(b)) {
        (Some(a), Some(b)) => a.uri == b.uri && (!with_tag || a.parameter("tag") == b.parameter("tag")),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Message {
        let mut request = Message::request("INVITE", "sip:b@example.net");
        request.push("Via", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa");
        request.push("From", "\"A\" <sip:a@example.net>;tag=1");
        request.push("To", "<sip:b@example.net>");
        request.push("Call-ID", "c");
        request.push("CSeq", "1 INVITE");
        request.push("Max-Forwards", "70");
        request.push("Contact", "<sip:a@192.0.2.1>");
        request
    }

    fn response() -> Message {
        let mut response = Message::response(200, "OK");
        response.push("Via", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa;received=192.0.2.1");
        response.push("From", "A<sip:a@example.net>;tag=1");
        response.push("To", "<sip:b@example.net>;tag=2");
        response.push("Call-ID", "c");
        response.push("CSeq", "1 INVITE");
        response.push("Contact", "<sip:b@192.0.2.2>");
        response
    }

    fn set(message: &mut Message, name: &str, value: &str) {
        message.headers.retain(|header| header.name != name);
        message.push(name, value);
    }

    #[test]
    fn a_good_request_and_its_answer_have_no_faults() {
        assert_eq!(request_faults(&request(), Transport::Udp), Vec::<String>::new());
        assert_eq!(response_faults(&response(), &request()), Vec::<String>::new());
    }

    #[test]
    fn each_broken_request_has_one_fault() {
        for (name, value) in [
            ("Via", "SIP/2.0/UDP 192.0.2.1:5060;branch=1"),
            ("Via", "SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bKa"),
            ("Via", "SIP/2.0/UDP b;branch=z9hG4bKa, SIP/2.0/UDP a;branch=z9hG4bKa"),
            ("From", "<sip:a@example.net>"),
            ("CSeq", "1 BYE"),
            ("CSeq", "INVITE"),
            ("Max-Forwards", "many"),
            ("Contact", "<sip:a>, <sip:b>"),
            ("Record-Route", "sip:edge;lr"),
        ] {
            let mut request = request();
            set(&mut request, name, value);
            let faults = request_faults(&request, Transport::Udp);
            assert_eq!(faults.len(), 1, "{name}: {value}: {faults:?}");
        }
        let mut request = request();
        request.headers.retain(|header| header.name != "Max-Forwards");
        assert_eq!(request_faults(&request, Transport::Udp).len(), 1);
    }

    #[test]
    fn each_broken_response_has_one_fault() {
        for (name, value) in [
            ("Via", "SIP/2.0/UDP e;branch=z9hG4bKe, SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa"),
            ("Via", "SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bKa"),
            ("From", "<sip:a@example.net>;tag=9"),
            ("To", "<sip:c@example.net>;tag=2"),
            ("To", "<sip:b@example.net>"),
            ("Call-ID", "d"),
            ("CSeq", "2 INVITE"),
            ("Contact", "<sip:a>, <sip:b>"),
        ] {
            let mut response = response();
            set(&mut response, name, value);
            let faults = response_faults(&response, &request());
            // A second Via in front also changes the sent-by that the client finds on top.
            let expected = if value.contains("bKe") { 2 } else { 1 };
            assert_eq!(faults.len(), expected, "{name}: {value}: {faults:?}");
        }
    }
}
