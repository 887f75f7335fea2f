//! Translation rules on the way of a call: of the trunk that it comes from before it is routed, of the one that it goes
//! to afterwards.

use super::wire::Request;
use super::world::World;
use crate::call::Edge;
use crate::routing::translate::{Numbers, Rule, Translation, Translations};

fn list(pattern: &str, replacement: &str) -> Translation {
    Translation::new(vec![Rule::new("rule", pattern, replacement).unwrap()]).unwrap()
}

/// Rules of `alice` for what she sends, and of `bob` for what is sent to him.
fn translating(edge: &mut Edge) {
    let id = |name: &str| usize::from(edge.trunks.named(name).expect("a trunk").id.0);
    let (alice, bob) = (id("alice"), id("bob"));
    let mut translations = vec![Translations::default(); edge.trunks.0.len()];
    translations[alice].inbound = Numbers { called: list("^0(2.*)$", "$1"), calling: list("^(4..)$", "+44$1") };
    translations[bob].outbound = Numbers { called: list("^2(.*)$", "+1555$1"), calling: list(r"^\+(.*)$", "00$1") };
    edge.translations = translations.into();
}

#[test]
fn numbers_are_translated_on_both_sides_of_routing() {
    let mut world = World::with(translating, 1_000);
    let asserted = "P-Asserted-Identity: \"A\" <sip:402@pbx.example>, <tel:+4930;x=y>\r\n";
    let invite = Request::new("INVITE", "sip:0200;x=y@192.0.2.1;user=phone", "1").extra(asserted.trim_end());
    let sent = world.call(&invite).remove(0);
    assert_eq!(sent.uri(), "sip:+155500;x=y@192.0.2.20:5060;user=phone");
    assert_eq!(sent.header("P-Asserted-Identity").unwrap(), "\"A\" <sip:0044402@pbx.example>, <tel:004930;x=y>");
    // Only numbers that a rule takes change.
    let sent = world.call(&Request::new("INVITE", "sip:299@192.0.2.1", "2")).remove(0);
    assert_eq!(sent.uri(), "sip:+155599@192.0.2.20:5060");
    // A Request-URI of a foreign host keeps it.
    let sent = world.call(&Request::new("INVITE", "sip:0200@far.example", "3")).remove(0);
    assert_eq!(sent.uri(), "sip:+155500@far.example");
    // Without rules nothing is touched.
    let sent = world.call(&Request::new("INVITE", "sip:300@192.0.2.1", "4")).remove(0);
    assert_eq!(sent.uri(), "sip:300@192.0.2.30:5060;transport=tcp");
    world.finish();
}
