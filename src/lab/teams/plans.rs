//! Calls of Teams that carry more than the usual: forwarded ones and emergencies (sections A11 and A13).

use crate::lab::agent::{CallPlan, TEAMS_HOST};

/// The place of somebody who calls for help, made up (RFC 4119).
pub const LOCATION: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n\
<presence entity=\"pres:caller@contoso.example\" xmlns=\"urn:ietf:params:xml:ns:pidf\" \
xmlns:gp=\"urn:ietf:params:xml:ns:pidf:geopriv10\" xmlns:ca=\"urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr\">\
<tuple id=\"lab\"><status><gp:geopriv><gp:location-info><ca:civicAddress><ca:country>US</ca:country><ca:A1>WA</ca:A1>\
<ca:A3>Redmond</ca:A3><ca:RD>Example Way</ca:RD><ca:HNO>1</ca:HNO><ca:LOC>Floor 2</ca:LOC></ca:civicAddress>\
</gp:location-info><gp:usage-rules/><gp:method>LIS</gp:method></gp:geopriv></status></tuple></presence>\r\n";

/// The same call, forwarded by the user whose number is `first_called`, on a trunk with ForwardPai and ForwardCallHistory:
/// the caller is only in P-Asserted-Identity, and the trunk is trusted to keep it private.
#[must_use]
pub fn forwarded(mut plan: CallPlan, first_called: &str) -> CallPlan {
    let at = |number: &str| format!("sip:{number}@{TEAMS_HOST}:5061;user=phone");
    let moved = "Reason=SIP%3Bcause%3D302%3Btext%3D%22Moved%20Temporarily%22";
    let (first, second, caller) = (at(first_called), at(&plan.number), at(&plan.from));
    plan.uri_parameters.push_str(";cause=302");
    plan.anonymous = true;
    for (name, value) in [
        ("History-Info", format!("<{first}?{moved}>;index=1,<{second}>;index=1.1")),
        ("Referred-By", format!("<{first}>")),
        ("P-Asserted-Identity", format!("<tel:{}>,<{caller}>", plan.from)),
        ("Privacy", "id".to_owned()),
    ] {
        plan.headers.push((name.to_owned(), value));
    }
    plan
}

/// The same call for help, with the caller's place beside the SDP.
#[must_use]
pub fn emergency(mut plan: CallPlan) -> CallPlan {
    plan.location = Some(LOCATION.to_owned());
    plan
}
