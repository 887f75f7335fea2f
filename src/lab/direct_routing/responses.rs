//! Judgement of how an SBC answers Teams.

use super::requests::{allow_faults, hold_in, host_fault, host_of, product_fault, record_route_faults};
use super::{Fault, Rule};
use crate::lab::message::Message;
use crate::lab::wire::Source;

/// Judges an answer to a request of Teams; `site` is the name of the SBC in the call.
pub fn judge_response(response: &Message, request: &Message, source: &Source, site: Option<&str>) -> Vec<Fault> {
    let code = response.code().unwrap_or_default();
    let method = request.method().unwrap_or_default();
    let invite = method == "INVITE" && (101..300).contains(&code);
    let options = method == "OPTIONS" && (200..300).contains(&code);
    if !invite && !options {
        return Vec::new();
    }
    let mut faults = Vec::new();
    let contacts = response.list("Contact");
    match contacts.first() {
        None => faults.push(Fault::new(Rule::ContactMissing, format!("{code} to {method} without Contact"))),
        Some(contact) => {
            let fault = host_fault(contact, source, Rule::ContactAddress);
            let shown = host_of(contact).unwrap_or_default();
            let strange = site.is_some_and(|site| !site.eq_ignore_ascii_case(&shown));
            if strange && fault.is_none() {
                let expected = site.unwrap_or_default();
                faults.push(Fault::new(
                    Rule::ContactTenant,
                    format!("Contact of a {code} has {shown} in a call of {expected}"),
                ));
            }
            faults.extend(fault);
            if contact.to_ascii_lowercase().contains("<sips:") {
                faults.push(Fault::new(Rule::SipsUri, format!("{contact} is not sip:")));
            }
        }
    }
    let sent = request.list("Record-Route");
    let routes: Vec<String> = response.list("Record-Route").into_iter().filter(|route| !sent.contains(route)).collect();
    faults.extend(routes.iter().filter_map(|route| host_fault(route, source, Rule::RecordRouteAddress)));
    faults.extend(record_route_faults(&routes, contacts.first().and_then(|contact| host_of(contact)).as_deref()));
    if code >= 200 {
        faults.extend(allow_faults(response));
    }
    faults.extend(product_fault(response));
    let reliable = response.list("Require").iter().any(|tag| tag.eq_ignore_ascii_case("100rel"));
    if reliable {
        faults.push(Fault::new(Rule::ReliableProvisional, format!("{code} requires 100rel")));
    }
    if let Some(hold) = hold_in(&response.body).filter(|hold| invite && hold != "a=inactive") {
        faults.push(Fault::new(Rule::HoldDirection, format!("{hold} in a {code} is not understood")));
    }
    faults
}
