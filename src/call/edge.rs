//! The compiled configuration as the pure core sees it: immutable, swapped whole at a reload.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::gate::Gate;
use super::numbers::translated;
use crate::routing::translate::Translations;
use crate::routing::{Routing, Site};
use crate::sip::edit::write_decimal;
use crate::sip::uri::ip_literal;
use crate::sip::{Limits, Transport, Uri};
use crate::transaction::Timing;
use crate::trunk::guard::Pace;
use crate::trunk::health;
use crate::trunk::{ConnectionId, Identify, Listener, ListenerId, Trunk, TrunkId, Trunks};

/// Everything that decides about a request. One value for one configuration; a change at run time makes the next one,
/// which shares with this one all that stays.
#[derive(Clone, Debug, Default)]
pub struct Edge {
    /// By [`ListenerId`], with the ports that were bound.
    pub listeners: Arc<[Listener]>,
    pub trunks: Arc<Trunks>,
    pub identify: Arc<Identify>,
    pub routing: Routing,
    /// By [`TrunkId`]: the translation rules of each trunk; a trunk without an entry has none.
    pub translations: Arc<[Translations]>,
    /// What is known of the targets of trunks. It changes while all else stays, and an edge that a change at run time
    /// makes shares it.
    pub health: Arc<health::Table>,
    /// Whether new calls are let in; every configuration of the process shares it.
    pub gate: Arc<Gate>,
    /// By [`TrunkId`]: how many requests a second each trunk may begin; a trunk without an entry as many as it wants.
    pub paces: Arc<[Pace]>,
    pub timing: Timing,
    pub limits: Limits,
    /// Branches that one request may be sent on in.
    pub max_branches: usize,
    /// Seconds that a 503 of the edge's own asks to wait.
    pub retry_after: u32,
    /// How old what the edge sealed may be when it comes back.
    pub seal_max_age: Duration,
    /// How long a call between transparent trunks counts as up whose BYE nobody has seen.
    pub transparent_call_age: Duration,
    own: Arc<Own>,
}

/// The edge's own names and addresses, and what is written towards each trunk.
#[derive(Clone, Debug, Default)]
struct Own {
    hosts: Vec<OwnHost>,
    /// By [`TrunkId`].
    faces: Vec<Face>,
    by_mark: HashMap<u32, TrunkId>,
}

/// One host that stands for the edge in a URI.
#[derive(Clone, Debug, PartialEq, Eq)]
struct OwnHost {
    host: Arc<str>,
    port: u16,
    transport: Transport,
}

/// How the edge shows itself towards one trunk: made once, copied into each message.
#[derive(Clone, Debug, Default)]
pub struct Face {
    /// `SIP/2.0/UDP host:port;branch=`.
    pub via: Vec<u8>,
    /// What follows the branch: `;rport`, `;alias`.
    pub via_params: Vec<u8>,
    /// `host:port;transport=tls` of a Record-Route URI.
    pub record_route: Vec<u8>,
    /// How many bytes of it are the host.
    host: usize,
    /// A number that stands for the trunk in URIs; the same in every process with this configuration.
    pub mark: u32,
}

impl Edge {
    /// Compiles the parts; `listeners` carry the ports that were bound.
    pub fn new(listeners: Vec<Listener>, trunks: Trunks, routing: Routing, timing: Timing, limits: Limits) -> Self {
        let identify = Arc::new(Identify::new(&listeners, &trunks));
        let own = Arc::new(Own::new(&listeners, &trunks));
        let health = Arc::new(health::Table::new(&trunks, &[]));
        Self {
            listeners: listeners.into(),
            trunks: Arc::new(trunks),
            identify,
            routing,
            translations: Arc::default(),
            health,
            gate: Arc::default(),
            paces: Arc::default(),
            timing,
            limits: limits.clamped(),
            max_branches: 16,
            retry_after: 5,
            seal_max_age: Duration::from_secs(7 * 86_400),
            transparent_call_age: Duration::from_secs(12 * 3_600),
            own,
        }
    }

    /// The edge that takes the place of another one: what began then goes on. Ids mean the same in both.
    #[must_use]
    pub fn following(self, old: &Self) -> Self {
        let identify = Identify::following(&self.listeners, &self.trunks, (&old.identify, &old.trunks));
        Self { identify: Arc::new(identify), gate: Arc::clone(&old.gate), ..self }
    }

    /// The same edge, to which connections up to `last` no longer prove that their peers are these trunks.
    #[must_use]
    pub fn doubting(&self, trunks: &[TrunkId], last: ConnectionId) -> Self {
        Self { identify: Arc::new(self.identify.doubting(trunks, last)), ..self.clone() }
    }

    /// The same edge with another routing, which knows the same trunks.
    #[must_use]
    pub fn with_routing(&self, routing: Routing) -> Self {
        Self { routing, ..self.clone() }
    }

    /// The listener of an id.
    pub fn listener(&self, id: ListenerId) -> Option<&Listener> {
        self.listeners.get(usize::from(id.0))
    }

    /// The trunk of an id.
    pub fn trunk(&self, id: TrunkId) -> Option<&Trunk> {
        self.trunks.get(id)
    }

    /// How the edge shows itself towards a trunk.
    pub fn face(&self, id: TrunkId) -> Option<&Face> {
        self.own.faces.get(usize::from(id.0))
    }

    /// The translation rules of a trunk.
    pub fn translations(&self, id: TrunkId) -> Option<&Translations> {
        self.translations.get(usize::from(id.0))
    }

    /// The called number as the trunk that it comes from means it.
    pub fn called_from<'u>(&self, from: TrunkId, user: &'u [u8]) -> Cow<'u, [u8]> {
        match self.translations(from) {
            Some(rules) => translated(&rules.inbound.called, user),
            None => Cow::Borrowed(user),
        }
    }

    /// The trunk that a mark in a URI stands for.
    pub fn trunk_of_mark(&self, mark: u32) -> Option<TrunkId> {
        self.own.by_mark.get(&mark).copied()
    }

    /// Whether a host and port of a URI or Via mean the edge itself.
    pub fn is_own(&self, host: &[u8], port: Option<u16>) -> bool {
        self.own.hosts.iter().any(|own| {
            own.host.as_bytes().eq_ignore_ascii_case(host)
                && port.map_or(own.port == own.transport.default_port(), |port| port == own.port)
        })
    }

    /// Whether a URI's `maddr` brings the request to the edge, which then takes it off (RFC 3261 section 16.4).
    pub fn is_own_maddr(&self, uri: &Uri<'_>) -> bool {
        matches!(uri.param(b"maddr"), Some(Some(host)) if self.is_own(host, uri.port))
    }

    /// Whether a URI's host is the edge: by a listener, a trunk's FQDN, or a site's FQDN.
    pub fn is_own_uri(&self, uri: &Uri<'_>) -> bool {
        self.is_own(uri.host, uri.port) || self.routing.site(uri.host).is_some()
    }

    /// Whether the edge owns the legs of calls between these two trunks.
    pub fn owns_legs(&self, from: TrunkId, to: TrunkId) -> bool {
        [from, to].into_iter().any(|id| self.trunk(id).is_some_and(|trunk| !trunk.transparent))
    }

    /// Writes where a side of a call finds the edge, `host:port;transport=tls`, under the name of a site where one is
    /// given; gives how many bytes of it are the host.
    pub fn write_own(&self, trunk: TrunkId, via: ListenerId, site: Option<&Site>, out: &mut Vec<u8>) -> usize {
        let own = self.trunk(trunk);
        let face = self.face(trunk).filter(|_| own.is_some_and(|own| own.listener == via));
        let listener = self.listener(via);
        let start = out.len();
        match (site, face) {
            (Some(site), _) => out.extend_from_slice(site.fqdn.as_bytes()),
            (None, Some(face)) => out.extend_from_slice(face.record_route.get(..face.host).unwrap_or_default()),
            (None, None) => {
                let fqdn = own.and_then(|own| own.fqdn.as_ref()).or(listener.map(|listener| &listener.host));
                out.extend_from_slice(fqdn.map(|host| host.as_bytes()).unwrap_or_default());
            }
        }
        let host = out.len() - start;
        match (face, listener) {
            (Some(face), _) => out.extend_from_slice(face.record_route.get(face.host..).unwrap_or_default()),
            (None, Some(listener)) => write_place(listener, out),
            (None, None) => {}
        }
        host
    }

    /// The listener for a transport, best one on the address of `near`.
    pub fn listener_for(&self, transport: Transport, near: ListenerId) -> Option<ListenerId> {
        let near = self.listener(near)?;
        if near.transport == transport {
            return Some(near.id);
        }
        let of = |leaving: bool| move |it: &&Listener| it.transport == transport && it.leaving == leaving;
        let mut others = self.listeners.iter().filter(of(false)).chain(self.listeners.iter().filter(of(true)));
        let same_address = others.clone().find(|listener| listener.bind.ip() == near.bind.ip());
        same_address.or_else(|| others.next()).map(|listener| listener.id)
    }

    /// How long a target may leave a request without any answer before the next one is tried.
    pub fn no_answer(&self, trunk: TrunkId) -> Duration {
        self.trunk(trunk).map_or(self.timing.timer_b(), |trunk| trunk.no_answer)
    }
}

impl Own {
    fn new(listeners: &[Listener], trunks: &Trunks) -> Self {
        let mut own = Self::default();
        for listener in listeners {
            let bound = match listener.bind.ip() {
                ip if ip.is_unspecified() => None,
                IpAddr::V6(ip) => Some(format!("[{ip}]")),
                IpAddr::V4(ip) => Some(ip.to_string()),
            };
            own.add_host(&listener.host, listener.port, listener.transport);
            own.add_host(&listener.host, listener.bind.port(), listener.transport);
            if let Some(bound) = bound {
                own.add_host(&bound.into(), listener.bind.port(), listener.transport);
            }
        }
        // What leaves gives way where a mark is another's too, and is asked for last.
        let ordered = trunks.0.iter().filter(|trunk| !trunk.leaving).chain(trunks.0.iter().filter(|it| it.leaving));
        own.faces.resize_with(trunks.0.len(), Face::default);
        for trunk in ordered {
            let Some(listener) = listeners.get(usize::from(trunk.listener.0)) else {
                continue;
            };
            let host = trunk.fqdn.as_ref().unwrap_or(&listener.host);
            own.add_host(host, listener.port, listener.transport);
            let face = Face::new(host, listener, trunk, own.free_mark(&trunk.name));
            own.by_mark.insert(face.mark, trunk.id);
            if let Some(place) = own.faces.get_mut(usize::from(trunk.id.0)) {
                *place = face;
            }
        }
        own
    }

    /// The trunk's mark; the next one in the unlikely case that another trunk of this configuration has it.
    fn free_mark(&self, name: &str) -> u32 {
        let mut mark = mark_of(name);
        while self.by_mark.contains_key(&mark) {
            mark = mark.wrapping_add(1);
        }
        mark
    }

    fn add_host(&mut self, host: &Arc<str>, port: u16, transport: Transport) {
        let host = OwnHost { host: Arc::clone(host), port, transport };
        if !self.hosts.contains(&host) {
            self.hosts.push(host);
        }
    }
}

impl Face {
    fn new(host: &str, listener: &Listener, trunk: &Trunk, mark: u32) -> Self {
        let transport = listener.transport;
        let port = listener.port;
        let params = match transport {
            Transport::Udp => ";rport",
            // RFC 5923 section 5: only where both sides have proved who they are.
            Transport::Tls if trunk.connection_reuse => ";alias",
            Transport::Tcp | Transport::Tls => "",
        };
        let mut record_route = host.as_bytes().to_vec();
        write_place(listener, &mut record_route);
        Self {
            via: format!("SIP/2.0/{} {host}:{port};branch=", transport.via_token()).into_bytes(),
            via_params: params.as_bytes().to_vec(),
            record_route,
            host: host.len(),
            mark,
        }
    }
}

/// Writes `:port;transport=tls`; UDP goes without saying.
fn write_place(listener: &Listener, out: &mut Vec<u8>) {
    out.push(b':');
    write_decimal(out, u64::from(listener.port));
    if listener.transport != Transport::Udp {
        out.extend_from_slice(b";transport=");
        out.extend_from_slice(listener.transport.uri_token().as_bytes());
    }
}

/// A trunk's name as a number that stays the same from one process and node to the next.
fn mark_of(name: &str) -> u32 {
    use std::hash::Hasher;
    let mut hash = siphasher::sip::SipHasher13::new_with_keys(0x7472_756e_6b77_6179, 1);
    hash.write(name.as_bytes());
    hash.finish() as u32
}

/// The address and port of a host that is an IP literal.
pub(crate) fn literal_address(host: &[u8], port: u16) -> Option<std::net::SocketAddr> {
    ip_literal(host).map(|ip| std::net::SocketAddr::new(ip, port))
}
