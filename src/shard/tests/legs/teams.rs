//! What Teams really sends, and whether it fits.

use std::path::Path;

use super::super::office::{SITE, TEAMS, office};
use super::super::wire::{headers, param};
use super::super::world::{BOB, own_all_legs};
use super::party::{Party, uri};
use crate::sip::Transport;

/// The longest Contact that was seen of Teams, and its proxy.
const CONTACT: &str = "sip:api-du-a-uswe2.pstnhub.microsoft.com:443;x-i=f2a1c4de-0b1c-4d2e-8f3a-5b6c7d8e9f01;x-c=9d2b6c1e5f404a3b8c7d6e5f4a3b2c1d/d/8/0b4e8f2a6c9d4b7e";
const ROUTE: &str = "<sip:sip-du-a-eu.pstnhub.microsoft.com:5061;transport=tls;lr>";

#[test]
fn the_longest_contact_of_teams_fits_with_its_route_in_both_directions() {
    let mut world = office(1_000);
    own_all_legs(std::sync::Arc::make_mut(&mut world.edge));
    world.know("sip-du-a-eu.pstnhub.microsoft.com", &["192.0.2.80:5061"]);
    let mut teams = Party::new(TEAMS, Transport::Udp, "+441632768499", "");
    teams.contact = CONTACT.to_owned();
    teams.call_id = "9d2b6c1e5f404a3b8c7d6e5f4a3b2c1d".to_owned();
    teams.target = format!("sip:+441632768402@{SITE}:5061;user=phone;transport=tls");
    teams.other = format!("<sip:+441632768402@{SITE}:5061;user=phone>");
    teams.extra = format!("RECORD-ROUTE: {ROUTE}\r\nUSER-AGENT: Microsoft.PSTNHub.SIPProxy v.2020\r\n");
    let text = teams.request("INVITE").replace("From: ", "FROM: John Doe");
    teams.send(&mut world, &text.replace("FROM: John Doe\"+441632768499\" ", "FROM: John Doe"));
    let sent = world.take().into_iter().find(|sent| sent.to == BOB.parse().unwrap()).expect("an INVITE");
    let contact = uri(&sent.header("Contact").unwrap());
    assert!(contact.len() <= 254, "{} {contact}", contact.len());
    let from = headers(&sent.text(), "From").concat();
    assert!(from.starts_with("John Doe<sip:+441632768499@192.0.2.1") && param(&from, "tag").is_some(), "{from}");
    let mut pbx = Party::new(BOB, Transport::Udp, "402", "");
    let ok = pbx.answers(&mut world, &sent, 200, "");
    assert_eq!(ok.headers("Record-Route"), [ROUTE]);
    teams.target = uri(&ok.header("Contact").unwrap());
    assert!(teams.target.len() <= 254 && teams.target.contains(&format!("@{SITE}:5060")), "{}", teams.target);
    teams.other = ok.header("To").unwrap();
    world.restart();
    // The PBX's BYE goes to the proxy of Teams; the API host is the Request-URI and is not dialled.
    let bye = pbx.asks(&mut world, "BYE");
    assert_eq!((bye.uri().as_str(), bye.headers("Route")), (CONTACT, vec![ROUTE.to_owned()]));
    assert_eq!(bye.to.to_string(), "192.0.2.80:5061");
    assert!(world.lookups.is_empty());
}

/// The vectors and traces hold nothing that is too long to be sealed.
#[test]
fn every_contact_and_route_of_the_vectors_fits() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/teams-vectors");
    let Ok(files) = std::fs::read_dir(&folder) else { return };
    let mut longest = 0;
    for file in files {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap().replace("\r\n", "\n").replace('\n', "\r\n");
        let (Some(contact), routes) = (headers(&text, "Contact").into_iter().next(), headers(&text, "Record-Route"))
        else {
            continue;
        };
        longest = longest.max(sealed_length(&uri(&contact), &routes));
    }
    assert!((100..=254).contains(&longest), "{longest}");
}

/// How long the edge's Contact is for a caller of this Contact and route.
fn sealed_length(contact: &str, routes: &[String]) -> usize {
    let mut world = super::party::owned();
    let mut caller = Party::new(super::super::world::ALICE, Transport::Udp, "alice", "200");
    caller.contact = contact.to_owned();
    caller.extra = routes.iter().map(|route| format!("Record-Route: {route}\r\n")).collect();
    let sent = caller.asks(&mut world, "INVITE");
    assert_eq!(sent.what(), "INVITE", "{contact} {routes:?}");
    uri(&sent.header("Contact").unwrap()).len()
}
