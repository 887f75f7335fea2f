//! How a stand-in writes itself: a common PBX, or Microsoft's SIP proxy as seen in traces.

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;

use crate::lab::message::{Address, Message, Style};
use crate::lab::wire::Transport;

/// The name of Microsoft's proxy in URIs and certificates.
pub const TEAMS_HOST: &str = "sip.pstnhub.microsoft.com";
const TEAMS_PRODUCT: &str = "Microsoft.PSTNHub.SIPProxy v.2024.2.6.5 i.LAB.1";
const TEAMS_ALLOW: &str = "INVITE,ACK,OPTIONS,CANCEL,BYE,NOTIFY";

/// Whom a stand-in plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persona {
    Pbx,
    Teams,
}

impl Persona {
    /// How its messages are written.
    pub const fn style(self) -> Style {
        match self {
            Self::Pbx => Style::Plain,
            Self::Teams => Style::Teams,
        }
    }

    /// The methods that it names in Allow.
    pub const fn allow(self) -> &'static str {
        match self {
            Self::Pbx => "INVITE, ACK, OPTIONS, CANCEL, BYE, INFO, NOTIFY",
            Self::Teams => TEAMS_ALLOW,
        }
    }

    /// User-Agent and Server.
    pub const fn product(self) -> &'static str {
        match self {
            Self::Pbx => "trunkway-lab-pbx",
            Self::Teams => TEAMS_PRODUCT,
        }
    }

    /// The Call-ID of a new call; a PBX puts its address in, as many do.
    pub fn call_id(self, local: SocketAddr, ids: &mut Ids) -> String {
        match self {
            Self::Pbx => format!("{}@{}", ids.hex(32), local.ip()),
            Self::Teams => ids.hex(32),
        }
    }

    /// The From value of a new call.
    pub fn from(self, number: &str, local: SocketAddr, tag: &str) -> String {
        match self {
            Self::Pbx => format!("\"Lab {number}\" <sip:{number}@{local};user=phone>;tag={tag}"),
            Self::Teams => {
                format!("Adele Vance<sip:{number}@{TEAMS_HOST}:5061;user=phone>;tag={tag}")
            }
        }
    }

    /// The URI of the called number.
    pub fn request_uri(self, number: &str, host: &str, transport: Transport) -> String {
        match (self, transport) {
            (Self::Teams, _) => format!("sip:{number}@{host};user=phone;transport=tls"),
            (Self::Pbx, Transport::Udp) => format!("sip:{number}@{host};user=phone"),
            (Self::Pbx, _) => {
                format!("sip:{number}@{host};user=phone;transport={}", transport.token().to_ascii_lowercase())
            }
        }
    }

    /// The URI of Contact; that of Teams is of an inner host which nobody may dial.
    pub fn contact(self, call_id: &str, place: &str, transport: Transport, ids: &mut Ids) -> String {
        match self {
            Self::Pbx => format!("sip:lab@{place};transport={}", transport.token().to_ascii_lowercase()),
            Self::Teams => {
                // An `@` cannot stand in a parameter; a caller of Teams' own would not write one either.
                let call_id = call_id.split('@').next().unwrap_or_default();
                let (guid, hex) = (ids.guid(), ids.hex(32));
                format!("sip:api-du-a-euwe.pstnhub.microsoft.com:443;x-i={guid};x-c={call_id}/s/1/{hex}")
            }
        }
    }

    /// The Record-Route value that stands in front of this side, if any.
    pub fn record_route(self, local: SocketAddr, host: Option<&str>) -> Option<String> {
        match (self, host) {
            (Self::Pbx, _) => None,
            // A literal: the edge finds it without DNS, and it is not the host of Contact.
            (Self::Teams, None) => Some(format!("<sip:{local};transport=tls;lr>")),
            (Self::Teams, Some(host)) => Some(format!("<sip:{host}:{};transport=tls;lr>", local.port())),
        }
    }

    /// The URI by which it names itself in OPTIONS.
    pub fn own_uri(self, place: &str) -> String {
        match self {
            Self::Pbx => format!("sip:{place}"),
            Self::Teams => "sip:sip-du-a-eu.pstnhub.microsoft.com:5061".into(),
        }
    }

    /// From or To of a request as this side writes it into an answer.
    pub fn echo(self, value: &str) -> String {
        match self {
            Self::Pbx => value.to_owned(),
            Self::Teams => Address::parse(value).map_or_else(|| value.to_owned(), |address| address.glued()),
        }
    }

    /// Adds what every message of this side carries.
    pub fn sign(self, message: &mut Message) {
        message.push("Allow", self.allow());
        message.push(if message.method().is_some() { "User-Agent" } else { "Server" }, self.product());
    }

    /// A session description; `direction` is `sendrecv`, `sendonly`, `inactive`, `recvonly`.
    pub fn sdp(self, local: SocketAddr, version: u32, direction: &str) -> Vec<u8> {
        let ip = local.ip();
        let kind = if ip.is_ipv4() { "IP4" } else { "IP6" };
        let (profile, extra) = match self {
            Self::Pbx => ("RTP/AVP", ""),
            Self::Teams => (
                "RTP/SAVP",
                "a=rtcp-mux\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd|2^31\r\n",
            ),
        };
        format!(
            "v=0\r\no=- 7000 {version} IN {kind} {ip}\r\ns=-\r\nc=IN {kind} {ip}\r\nt=0 0\r\nm=audio 40000 {profile} 8 0 101\r\n{extra}\
             a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na={direction}\r\n"
        )
        .into_bytes()
    }

    /// The direction that puts a call on hold; Teams knows `inactive` only.
    pub const fn hold(self) -> &'static str {
        match self {
            Self::Pbx => "sendonly",
            Self::Teams => "inactive",
        }
    }
}

/// The direction of an answer to an offer (RFC 3264 section 6.1).
pub fn answer_direction(offer: &[u8]) -> &'static str {
    let offer = String::from_utf8_lossy(offer);
    match offer.lines().find_map(|line| {
        line.strip_prefix("a=")
            .filter(|word| word.starts_with("send") || word.starts_with("recv") || *word == "inactive")
    }) {
        Some("sendonly") => "recvonly",
        Some("recvonly") => "sendonly",
        Some("inactive") => "inactive",
        _ => "sendrecv",
    }
}

/// Identifiers that no other run makes.
#[derive(Debug)]
pub struct Ids {
    state: RandomState,
    next: u64,
}

impl Default for Ids {
    fn default() -> Self {
        Self { state: RandomState::new(), next: 0 }
    }
}

impl Ids {
    /// So many hexadecimal digits.
    pub fn hex(&mut self, digits: usize) -> String {
        let mut out = String::new();
        while out.len() < digits {
            self.next += 1;
            out.push_str(&format!("{:016x}", self.state.hash_one(self.next)));
        }
        out.truncate(digits);
        out
    }

    /// A GUID.
    pub fn guid(&mut self) -> String {
        [8, 4, 4, 4, 12].map(|digits| self.hex(digits)).join("-")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_are_answered_by_their_opposite() {
        let local = "127.0.0.1:1".parse().unwrap();
        assert_eq!(answer_direction(&Persona::Pbx.sdp(local, 1, "sendonly")), "recvonly");
        assert_eq!(answer_direction(&Persona::Teams.sdp(local, 1, Persona::Teams.hold())), "inactive");
        assert_eq!(answer_direction(&Persona::Pbx.sdp(local, 1, "sendrecv")), "sendrecv");
    }

    #[test]
    fn teams_writes_itself_as_in_the_traces() {
        let mut ids = Ids::default();
        let contact = Persona::Teams.contact("abc", "127.0.0.1:5061", Transport::Tls, &mut ids);
        assert!(contact.starts_with("sip:api-du-a-euwe.pstnhub.microsoft.com:443;x-i="), "{contact}");
        assert!(contact.contains(";x-c=abc/s/1/"), "{contact}");
        assert_eq!(Persona::Teams.echo("\"Bob\" <sip:b@c>;tag=1"), "Bob<sip:b@c>;tag=1");
        assert_ne!(ids.hex(32), ids.hex(32));
        assert_eq!(ids.guid().len(), 36);
    }
}
