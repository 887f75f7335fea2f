//! Watchers at the edge: a phone's lamp keys, baresip's list of friends, and sipp.

mod phone;
mod schemas;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use trunkway::presence::notifier::documents;
use trunkway::presence::{Availability, Presence, TeamsPresence, View};

pub use self::phone::Phone;
pub use self::schemas::assert_valid;
use crate::support::edge::Edge;
use crate::support::place::Place;
use crate::support::process::Process;
use crate::support::sipp::{Scenario, Sipp};
use crate::support::{SOON, until};

/// A PBX that may watch contoso's users.
pub const PBX: u8 = 2;
/// Phones of contoso's by UDP.
pub const PHONES: u8 = 6;
/// A PBX of fabrikam's, which has an extension 401 too.
const OTHER_PBX: u8 = 3;
/// A carrier, which may watch nobody.
const CARRIER: u8 = 4;

/// An edge with two tenants, without Teams: watchers see what the PBX side tells.
pub fn edge(place: &Place, more: &str) -> Edge {
    let edge = place.at(1);
    let [pbx, phones, other, carrier] = [PBX, PHONES, OTHER_PBX, CARRIER].map(|host| place.at(host));
    let config = format!(
        r#"
[[listen]]
name = "udp"
bind = "udp:{edge}"

[[listen]]
name = "tcp"
bind = "tcp:{edge}"

[trunk.pbx]
kind = "pbx"
listen = "tcp"
targets = ["tcp:{pbx}"]

[trunk.phones]
kind = "pbx"
listen = "udp"
targets = ["udp:{phones}"]

[trunk.other]
kind = "pbx"
listen = "tcp"
targets = ["tcp:{other}"]

[trunk.carrier]
kind = "carrier"
listen = "tcp"
targets = ["tcp:{carrier}"]

[[tenant.contoso.user]]
id = "anna@contoso.example"
number = "+441632960401"
extension = "401"

[tenant.contoso.presence]
direction = "to-teams"
own_calls = false
watchers = ["pbx", "phones"]

[[tenant.fabrikam.user]]
id = "bob@fabrikam.example"
number = "+441632960501"
extension = "401"

[tenant.fabrikam.presence]
direction = "to-teams"
own_calls = false
watchers = ["other"]

[presence]
notify_interval_ms = 200
{more}
"#
    );
    let edge = Edge::start(place, &config);
    until("the bridge knows its users", SOON, || (edge.metric("trunkway_presence_users") == 2.0).then_some(()));
    edge
}

/// A dialog-info document of one call.
pub fn call(state: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><dialog-info xmlns=\"urn:ietf:params:xml:ns:dialog-info\" version=\"0\" state=\"full\" \
         entity=\"sip:401@pbx.example\"><dialog id=\"1\" direction=\"initiator\"><state>{state}</state></dialog>\
         </dialog-info>"
    )
}

/// A presence document with an activity.
pub fn doing(activity: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><presence xmlns=\"urn:ietf:params:xml:ns:pidf\" \
         xmlns:dm=\"urn:ietf:params:xml:ns:pidf:data-model\" xmlns:rpid=\"urn:ietf:params:xml:ns:pidf:rpid\" \
         entity=\"sip:401@pbx.example\"><tuple id=\"t\"><status><basic>open</basic></status></tuple>\
         <dm:person id=\"p\"><rpid:activities><rpid:{activity}/></rpid:activities></dm:person></presence>"
    )
}

#[test]
fn all_documents_are_valid_by_the_schemas() {
    let place = Place::new();
    let availabilities = [
        Availability::Available,
        Availability::AvailableIdle,
        Availability::Away,
        Availability::BeRightBack,
        Availability::Busy,
        Availability::BusyIdle,
        Availability::DoNotDisturb,
        Availability::Offline,
        Availability::Unknown,
    ];
    let activities = ["", "InACall", "InAMeeting", "Presenting", "OutOfOffice", "New <&\"'> \u{1}word"];
    let teams = availabilities.iter().flat_map(|&availability| {
        let one = move |activity: &&str| TeamsPresence { availability, activity: (*activity).into(), sequence: None };
        activities.iter().map(one).map(|teams| View::of_teams(&teams))
    });
    let pbx = Presence::ALL.iter().flat_map(|&state| [View::of_pbx(state, false), View::of_pbx(state, true)]);
    let entity = "sip:o'neill%20&co@edge.example";
    let views: Vec<_> = teams.chain(pbx).collect();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut documents: Vec<_> = views.iter().map(|view| text(&documents::presence(entity, view))).collect();
    documents.extend([true, false].map(|lit| text(&documents::dialog("sip:401@edge.example", 4_294_967_295, lit))));
    assert_valid(&place, &documents);
}

#[test]
fn a_lamp_key_follows_the_line_over_the_phones_own_connection() {
    let place = Place::new();
    let edge = edge(&place, "");
    let mut phone = Phone::connect(&place, PBX);
    let (answer, mut lamp) =
        phone.subscribe("401", "dialog;id=9", "Expires: 600\r\nAccept: application/dialog-info+xml\r\n");
    assert_eq!((answer.status(), answer.header("Expires")), (200, "600"), "{answer:?}");
    let first = phone.notified(&lamp);
    assert!(first.body.contains("version=\"0\" state=\"full\"") && first.body.contains(">terminated<"), "{first:?}");
    assert_eq!(first.header("Event"), "dialog;id=9");
    assert!(first.header("Subscription-State").starts_with("active;expires="));
    let (_, list) = phone.subscribe("anna%40contoso.example", "presence", "");
    assert!(phone.notified(&list).body.contains("<rpid:unknown/>"));

    let published = phone.publish("+441632960401", "dialog", "Expires: 600\r\n", &call("confirmed"));
    assert_eq!(published.status(), 200, "{published:?}");
    let lit = phone.notified(&lamp);
    assert!(lit.body.contains("version=\"1\"") && lit.body.contains(">confirmed<"), "{lit:?}");
    assert!(phone.notified(&list).body.contains("<rpid:on-the-phone/><rpid:busy/>"));

    // The state once more, whatever has changed, and no answer for what is older.
    assert_eq!(phone.again(&mut lamp, "Expires: 300\r\n").status(), 200);
    assert!(phone.notified(&lamp).body.contains("version=\"2\""));

    let removed = phone.publish(
        "401",
        "dialog",
        &format!("SIP-If-Match: {}\r\nExpires: 0\r\n", published.header("SIP-ETag")),
        "",
    );
    assert_eq!(removed.status(), 200, "{removed:?}");
    let dark = phone.notified(&lamp);
    assert!(dark.body.contains("version=\"3\"") && dark.body.contains(">terminated<"), "{dark:?}");

    assert_eq!(phone.again(&mut lamp, "Expires: 0\r\n").status(), 200);
    assert_eq!(phone.notified(&lamp).header("Subscription-State"), "terminated;reason=timeout");
    assert_eq!(phone.again(&mut lamp, "Expires: 600\r\n").status(), 481);
    assert_valid(&place, &phone.bodies);
    edge.stop();
}

#[test]
fn a_trunk_watches_the_users_of_its_tenant_only() {
    let place = Place::new();
    let edge = edge(&place, "");
    let mut phone = Phone::connect(&place, PBX);
    assert_eq!(phone.publish("401", "presence", "", &doing("away")).status(), 200);
    let mut other = Phone::connect(&place, OTHER_PBX);
    let (answer, watch) = other.subscribe("401", "presence", "");
    assert_eq!(answer.status(), 200);
    let seen = other.notified(&watch);
    assert!(seen.body.contains("<rpid:unknown/>"), "bob has the extension there, and not anna: {seen:?}");
    for (user, event, more, status) in [
        ("anna%40contoso.example", "presence", "", 404),
        ("+441632960401", "dialog", "", 404),
        ("401", "presence", "Accept: text/plain\r\n", 406),
        ("401", "presence", "Expires: 1\r\n", 423),
        ("401", "dialog", "Require: eventlist\r\n", 420),
    ] {
        let (answer, _) = other.subscribe(user, event, more);
        assert_eq!(answer.status(), status, "{user} {event} {more}: {answer:?}");
    }
    let mut carrier = Phone::connect(&place, CARRIER);
    let (refused, _) = carrier.subscribe("401", "presence", "");
    assert!(refused.status() >= 400, "{refused:?}");
    let (fetched, watch) = phone.subscribe("401", "presence", "Expires: 0\r\n");
    assert_eq!(fetched.status(), 200);
    let fetched = phone.notified(&watch);
    assert!(fetched.body.contains("<rpid:away/>") && fetched.header("Subscription-State").starts_with("terminated"));
    edge.stop();
}

/// Starts baresip with a friend whose presence it asks for.
fn baresip_with_friend(place: &Place, host: u8, friend: &str) -> Process {
    let (at, edge) = (place.at(host), place.at(1));
    let modules = ["/usr/lib/baresip/modules", "/usr/lib/x86_64-linux-gnu/baresip/modules"];
    let modules = modules.into_iter().find(|path| Path::new(path).is_dir()).unwrap_or("/usr/local/lib/baresip/modules");
    let folder = place.folder().join("baresip-friend");
    std::fs::create_dir(&folder).unwrap();
    let config = format!(
        "poll_method epoll\nsip_listen {at}\nmodule_path {modules}\nmodule g711.so\nmodule_app account.so\n\
         module_app contact.so\nmodule_app presence.so\nmodule_app menu.so\n"
    );
    let account = format!("<sip:desk@{at};transport=udp>;regint=0;outbound=\"sip:{edge};transport=udp\"\n");
    let contact = format!("\"Anna\" <sip:{friend}@{edge}>;presence=p2p\n");
    for (file, text) in [("config", config), ("accounts", account), ("contacts", contact)] {
        std::fs::write(folder.join(file), text).unwrap();
    }
    let mut command = Command::new("baresip");
    command.arg("-f").arg(&folder).args(["-s", "-n", &at.ip().to_string()]);
    Process::start("baresip-friend", place.folder(), &mut command)
}

#[test]
fn baresip_sees_its_friend_on_the_phone() {
    let place = Place::new();
    let edge = edge(&place, "");
    let mut baresip = baresip_with_friend(&place, PHONES, "401");
    until("baresip subscribes", SOON, || (edge.metric("trunkway_presence_watchers") >= 1.0).then_some(()));
    let mut pbx = Phone::connect(&place, PBX);
    let published = pbx.publish("401", "dialog", "", &call("confirmed"));
    let shown = |it: &Process, word: &str| {
        let last = it.output().lines().rfind(|line| line.contains("changed status from")).map(str::to_owned);
        last.is_some_and(|line| line.rsplit(" to ").next().is_some_and(|to| to.contains(word))).then_some(())
    };
    baresip.ready("its friend is busy", |it| shown(it, "Busy"));
    let etag = format!("SIP-If-Match: {}\r\n", published.header("SIP-ETag"));
    assert_eq!(pbx.publish("401", "dialog", &etag, &call("terminated")).status(), 200);
    baresip.ready("its friend is there", |it| shown(it, "Online"));
    let trace = baresip.output();
    let documents: Vec<String> = trace
        .split("<?xml")
        .skip(1)
        .filter_map(|text| text.split_once("</presence>"))
        .map(|(text, _)| format!("<?xml{text}</presence>"))
        .collect();
    assert_valid(&place, &documents);
    edge.stop();
}

#[test]
fn sipp_watches_a_lamp_by_udp() {
    let place = Place::new();
    let edge = edge(&place, "");
    let blanks = vec![("first", "terminated".to_owned()), ("second", "confirmed".to_owned())];
    let watcher = Sipp::caller(&place, PHONES, Scenario::File("watcher", blanks), "401").limit(Duration::from_secs(50));
    let watcher = watcher.start(&place);
    until("sipp subscribes", SOON, || (edge.metric("trunkway_presence_watchers") >= 1.0).then_some(()));
    let mut pbx = Phone::connect(&place, PBX);
    assert_eq!(pbx.publish("401", "dialog", "", &call("confirmed")).status(), 200);
    watcher.finish();
    until("sipp has left", SOON, || (edge.metric("trunkway_presence_watchers") == 0.0).then_some(()));
    edge.stop();
}
