//! Judgement of what an SBC sends to Teams.

use super::tenants::Tenants;
use super::{Fault, Refusal, Rule, Verdict};
use crate::lab::message::{Address, Message, Uri};
use crate::lab::wire::{Source, certificate_names};

/// What Teams names in its own Allow (section A6).
const METHODS: [&str; 6] = ["INVITE", "ACK", "OPTIONS", "CANCEL", "BYE", "NOTIFY"];
/// What an SBC must be able to take in any case (sections A5 and A10).
const NEEDED: [&str; 6] = ["INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "NOTIFY"];
/// Longest name of an SBC (section A1).
const NAME_LIMIT: usize = 63;
/// Longest telephone number (ITU-T E.164).
const NUMBER_LIMIT: usize = 15;
/// The domain of all names that may be dialled at Microsoft.
const MICROSOFT: &str = ".pstnhub.microsoft.com";

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// Outside of a dialog; `referred`: a REFER asked for exactly this one.
    New { referred: bool },
    /// Inside a dialog, with the SBC's name in it if that is known.
    Dialog { site: Option<&'a str> },
}

/// Judges one request by all the rules that a single message can break.
pub fn judge_request(request: &Message, source: &Source, tenants: &Tenants, place: Place<'_>) -> Verdict {
    let mut verdict = Verdict::default();
    let method = request.method().unwrap_or_default();
    if !METHODS.contains(&method) {
        let refusal = Refusal::new(405, "Method Not Allowed", None, 79, format!("{method} is not supported."));
        verdict.refuse(Rule::Method, format!("{method} is not in the Allow of Teams"), refusal);
    }
    judge_connection(source, &mut verdict);
    judge_schemes(request, &mut verdict);
    judge_identity(request, source, tenants, place, &mut verdict);
    if method == "INVITE" {
        judge_invite(request, place, &mut verdict);
        if let Place::New { referred: false } = place {
            judge_callee(request, tenants, &mut verdict);
            judge_caller(request, &mut verdict);
        }
    }
    if ["INVITE", "OPTIONS"].contains(&method) {
        verdict.faults.extend(allow_faults(request));
    }
    if ["INVITE", "OPTIONS", "NOTIFY", "BYE"].contains(&method) {
        verdict.faults.extend(product_fault(request));
    }
    verdict
}

fn judge_connection(source: &Source, verdict: &mut Verdict) {
    match source.server_name.as_deref() {
        // Only a connection that was accepted has a name in it; the stand-in's own have none.
        None if !source.accepted => {}
        Some(name) if name.ends_with(MICROSOFT) => {}
        Some(name) => verdict.note(Rule::ServerName, format!("the connection was made for {name}")),
        None => verdict.note(Rule::ServerName, "the connection was made without a server name"),
    }
}

fn judge_schemes(request: &Message, verdict: &mut Verdict) {
    let uri = request.uri().map(str::to_owned);
    let values = ["Contact", "From", "To", "Record-Route"].iter().flat_map(|name| request.list(name));
    let uris = uri.into_iter().chain(values.filter_map(|value| Some(Address::parse(&value)?.uri)));
    let secure: Vec<String> = uris.filter(|uri| uri.to_ascii_lowercase().starts_with("sips:")).collect();
    if let Some(first) = secure.first() {
        let refusal = Refusal::new(416, "Unsupported URI Scheme", None, 79, "The sips scheme is not supported.");
        verdict.refuse(Rule::SipsUri, format!("{first} is not sip:"), refusal);
    }
}

fn judge_identity(request: &Message, source: &Source, tenants: &Tenants, place: Place<'_>, verdict: &mut Verdict) {
    let method = request.method().unwrap_or_default();
    let contacts = request.list("Contact");
    let routes = request.list("Record-Route");
    let mut faults = Vec::new();
    for route in &routes {
        faults.extend(host_fault(route, source, Rule::RecordRouteAddress));
    }
    // Of several values only the first one counts (section A4).
    if let Some(contact) = contacts.first() {
        faults.extend(host_fault(contact, source, Rule::ContactAddress));
    } else if ["INVITE", "OPTIONS", "NOTIFY"].contains(&method) {
        faults.push(Fault::new(Rule::ContactMissing, format!("{method} without Contact")));
    }
    let site = contacts.first().and_then(|contact| host_of(contact));
    faults.extend(record_route_faults(&routes, site.as_deref()));
    let refusable = ["INVITE", "OPTIONS"].contains(&method);
    let grave = |fault: &&Fault| match fault.rule {
        Rule::ContactMissing => routes.is_empty(),
        Rule::RecordRoute | Rule::RecordRouteHost | Rule::FqdnLength => false,
        _ => true,
    };
    if let Some(worst) = faults.iter().find(grave).filter(|_| refusable) {
        let text = match worst.rule {
            Rule::ContactMissing => "Record-Route and Contact headers are missing.".to_owned(),
            _ => format!("{}.", worst.text),
        };
        verdict.refusal.get_or_insert(Refusal::forbidden(None, text));
    }
    let sound = faults.iter().all(|fault| !grave(&fault));
    verdict.faults.extend(faults);
    let Some(site) = site.filter(|_| sound) else {
        return;
    };
    match place {
        Place::New { .. } if refusable && tenants.find(&site).is_none() => verdict.refuse(
            Rule::UnknownTenant,
            format!("no tenant has registered {site}"),
            Refusal::forbidden(Some(510_532), "No trunk config was found."),
        ),
        Place::Dialog { site: Some(expected) } if !site.eq_ignore_ascii_case(expected) => {
            verdict.note(Rule::ContactTenant, format!("Contact has {site} in a call of {expected}"));
        }
        _ => {}
    }
}

/// What is wrong with the host of a Contact or Record-Route.
pub(super) fn host_fault(value: &str, source: &Source, address_rule: Rule) -> Option<Fault> {
    let uri = Address::parse(value).and_then(|address| Uri::parse(&address.uri));
    let Some(uri) = uri else {
        return Some(Fault::new(Rule::ContactForm, format!("{value} is no SIP URI")));
    };
    if uri.user.as_deref() == Some("") {
        return Some(Fault::new(Rule::ContactForm, format!("{value} has nothing before its @")));
    }
    if uri.is_literal() {
        return Some(Fault::new(address_rule, format!("{} is an IP address where an FQDN is wanted", uri.host)));
    }
    if uri.host.len() > NAME_LIMIT {
        return Some(Fault::new(Rule::FqdnLength, format!("{} is longer than {NAME_LIMIT} characters", uri.host)));
    }
    let named = source.certificate.as_deref().is_some_and(|certificate| certificate_names(certificate, &uri.host));
    (!named).then(|| Fault::new(Rule::CertificateName, format!("{} is not in the certificate of the peer", uri.host)))
}

/// The host of a Contact or Record-Route value.
pub(super) fn host_of(value: &str) -> Option<String> {
    Uri::parse(&Address::parse(value)?.uri).map(|uri| uri.host)
}

/// Record-Route and Contact are to be the same host, where there is no local media optimisation (section A4).
pub(super) fn record_route_faults(routes: &[String], site: Option<&str>) -> Option<Fault> {
    let site = site?;
    let first = routes.first()?;
    let other = routes.iter().filter_map(|route| host_of(route)).find(|host| !host.eq_ignore_ascii_case(site));
    Some(match other {
        Some(other) => Fault::new(Rule::RecordRouteHost, format!("Record-Route has {other} and Contact has {site}")),
        None => Fault::new(Rule::RecordRoute, format!("Record-Route {first} though Contact says it already")),
    })
}

fn judge_invite(request: &Message, place: Place<'_>, verdict: &mut Verdict) {
    if request.value("Replaces").is_some() {
        let refusal = Refusal::forbidden(None, "Replaces is not supported.");
        verdict.refuse(Rule::Replaces, "INVITE with Replaces", refusal);
    }
    let lists = |name: &str| request.list(name).iter().any(|tag| tag.eq_ignore_ascii_case("100rel"));
    if lists("Require") {
        let refusal = Refusal::new(420, "Bad Extension", None, 79, "100rel is not supported.");
        verdict.refuse(Rule::ReliableProvisional, "INVITE requires 100rel", refusal);
    } else if lists("Supported") {
        verdict.note(Rule::ReliableProvisional, "INVITE offers 100rel");
    }
    let new = matches!(place, Place::New { .. });
    let not_acceptable = |text: &str| Refusal::new(488, "Not Acceptable Here", Some(531_000), 79, text);
    if request.body.is_empty() {
        match new {
            true => verdict.refuse(Rule::NoOffer, "INVITE without SDP", not_acceptable("No media offer was found.")),
            // In mid-call Teams answers it, on hold (section A7).
            false => verdict.note(Rule::NoOffer, "re-INVITE without SDP"),
        }
        return;
    }
    let Some(hold) = hold_in(&request.body) else {
        return;
    };
    if new {
        let refusal = not_acceptable("The first offer is on hold.");
        verdict.refuse(Rule::HoldInFirstInvite, format!("the first offer has {hold}"), refusal);
    } else if hold != "a=inactive" {
        verdict.note(Rule::HoldDirection, format!("{hold} is not understood as hold, only a=inactive is"));
    }
}

/// The line of a session description that puts its audio on hold, in whatever manner.
pub(super) fn hold_in(sdp: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(sdp);
    let held =
        |line: &&str| matches!(*line, "a=inactive" | "a=sendonly" | "a=recvonly" | "c=IN IP4 0.0.0.0" | "c=IN IP6 ::");
    text.lines().map(str::trim_end).find(held).map(str::to_owned)
}

fn judge_callee(request: &Message, tenants: &Tenants, verdict: &mut Verdict) {
    let text = request.uri().unwrap_or_default();
    let uri = Uri::parse(text);
    // A user of Teams that was the target of a transfer has no number.
    if uri.as_ref().is_some_and(|uri| uri.user.is_none() && uri.parameter("x-m").is_some()) {
        return;
    }
    let user = uri.as_ref().and_then(|uri| uri.user.as_deref()).unwrap_or_default();
    let number = user.split(';').next().unwrap_or_default();
    if !is_number(number) {
        let refusal = Refusal::new(412, "Conditional Request Failed", Some(510_412), 28, "Malformed callee number.");
        return verdict.refuse(Rule::MalformedCallee, format!("{text:?} calls no number"), refusal);
    }
    if !number.starts_with('+') {
        verdict.note(Rule::E164, format!("{number} is written without +"));
    }
    if uri.as_ref().is_none_or(|uri| uri.parameter("user") != Some("phone")) {
        verdict.note(Rule::UserPhone, format!("{text} has no user=phone"));
    }
    let site = request.list("Contact").first().and_then(|contact| host_of(contact)).unwrap_or_default();
    if let Some(tenant) = tenants.find(&site).filter(|tenant| !tenant.has(user)) {
        let refusal = Refusal::new(404, "Not Found", Some(511_404), 1, "Callee not found.");
        verdict.refuse(Rule::UnknownCallee, format!("{user} is no user of {}", tenant.name), refusal);
    }
}

/// Digits, with or without `+`; a country code does not begin with zero.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let plausible = !digits.is_empty() && digits.len() <= NUMBER_LIMIT && digits.bytes().all(|b| b.is_ascii_digit());
    plausible && !text.starts_with("+0")
}

fn judge_caller(request: &Message, verdict: &mut Verdict) {
    let site = request.list("Contact").first().and_then(|contact| host_of(contact));
    let from = request.value("From").and_then(host_of);
    let (Some(site), Some(from)) = (site, from) else {
        return;
    };
    let anonymous = from.eq_ignore_ascii_case("anonymous.invalid");
    if !anonymous && !from.eq_ignore_ascii_case(&site) {
        verdict.note(Rule::FromHost, format!("From has {from} and Contact has {site}"));
    }
}

/// What an Allow leaves out.
pub(super) fn allow_faults(message: &Message) -> Option<Fault> {
    let listed = message.list("Allow");
    if listed.is_empty() {
        return Some(Fault::new(Rule::Allow, "no Allow"));
    }
    let missing: Vec<&str> =
        NEEDED.into_iter().filter(|needed| !listed.iter().any(|method| method == needed)).collect();
    (!missing.is_empty()).then(|| Fault::new(Rule::Allow, format!("Allow leaves out {}", missing.join(", "))))
}

/// The SBC does not say what it is.
pub(super) fn product_fault(message: &Message) -> Option<Fault> {
    let named = message.value("X-MS-SBC").is_some_and(|value| value.split('/').filter(|p| !p.is_empty()).count() >= 3);
    (!named).then(|| Fault::new(Rule::XMsSbc, "no X-MS-SBC with vendor, product and version"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use tokio_rustls::rustls::pki_types::CertificateDer;
    use tokio_rustls::rustls::pki_types::pem::PemObject;

    use super::*;
    use crate::lab::certificates::Authority;
    use crate::lab::direct_routing::{Rule, Tenant, judge_response};
    use crate::lab::wire::Transport;

    /// One of the published vectors; `None` where they are not at hand.
    fn vector(name: &str) -> Option<Message> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/teams-vectors");
        Some(Message::parse(&std::fs::read(folder.join(format!("{name}.sip"))).ok()?).unwrap().message)
    }

    fn source() -> Source {
        let pem = Authority::new().unwrap().edge(&["*.adatum.biz", "*.customers.adatum.biz"]).unwrap().certificate;
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let mut source = Source::plain(Transport::Tls, "192.0.2.10:5061".parse().unwrap(), 1);
        source.certificate = Some(Arc::from(der.as_ref()));
        source
    }

    fn tenants() -> Tenants {
        Tenants::default()
            .with(Tenant::new("customers.adatum.biz", Some(&["+12065550100"])))
            .with(Tenant::new("adatum.biz", None))
    }

    #[test]
    fn the_vectors_are_judged_as_their_table_says() {
        let new = Place::New { referred: false };
        let site = Place::Dialog { site: Some("tenant1.customers.adatum.biz") };
        let cases: [(&str, Place<'_>, &[Rule], Option<u16>); 7] = [
            ("tv01", new, &[], None),
            ("tv05", new, &[Rule::ContactAddress, Rule::Allow, Rule::XMsSbc], Some(403)),
            ("tv06", new, &[], None),
            ("tv10", site, &[], None),
            // Line E27 asks for the product in every request; these two leave it out.
            ("tv15", site, &[Rule::XMsSbc], None),
            ("tv16", Place::New { referred: true }, &[], None),
            ("tv26", new, &[Rule::XMsSbc], None),
        ];
        for (name, place, rules, code) in cases {
            let Some(request) = vector(name) else { return };
            let verdict = judge_request(&request, &source(), &tenants(), place);
            let found: Vec<Rule> = verdict.faults.iter().map(|fault| fault.rule).collect();
            assert_eq!((found.as_slice(), verdict.refusal.map(|r| r.code)), (rules, code), "{name}");
        }
    }

    #[test]
    fn the_answers_among_the_vectors_are_without_fault() {
        for (request, response) in [("tv03", "tv04"), ("tv11", "tv12")] {
            let (Some(request), Some(response)) = (vector(request), vector(response)) else { return };
            let site = Uri::parse(request.uri().unwrap()).unwrap().host;
            assert_eq!(judge_response(&response, &request, &source(), Some(&site)), []);
            let faults = judge_response(&response, &request, &source(), Some("other.adatum.biz"));
            assert_eq!(faults.iter().map(|fault| fault.rule).collect::<Vec<_>>(), [Rule::ContactTenant]);
        }
    }
}
