//! What passed of a call, told from entries of the ring: who spoke, what was said, what was said again.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};

use crate::admin::{TraceEnd, TraceLine, TraceLook, TraceMessage, TracePeer, TraceShown};
use crate::call::record::microsoft;
use crate::call::{CallId, Edge};
use crate::sip::NameAddr;
use crate::telemetry::trace::peek::header;
use crate::telemetry::trace::redact::{Mask, redact};
use crate::telemetry::trace::{Direction, Ended, Entry, Kept, Peek, What};
use crate::trunk::{ListenerId, TrunkId};

/// Longest text of a header that is shown beside a message.
const MAX_TEXT: usize = 256;

/// Tells of calls in the words of a configuration.
pub(super) struct Teller<'a> {
    edge: &'a Edge,
    look: TraceLook,
    /// Trunks behind addresses, as messages told them.
    trunks: HashMap<(ListenerId, SocketAddr), TrunkId>,
    /// The edge's own addresses behind listeners that are bound to any.
    locals: HashMap<ListenerId, IpAddr>,
}

impl<'a> Teller<'a> {
    pub(super) fn new(edge: &'a Edge, look: TraceLook) -> Self {
        Self { edge, look, trunks: HashMap::new(), locals: HashMap::new() }
    }

    fn learn(&mut self, entry: &Entry) {
        if let Some(trunk) = entry.trunk {
            self.trunks.insert((entry.listener, entry.remote), trunk);
        }
        if !entry.local.ip().is_unspecified() {
            self.locals.insert(entry.listener, entry.local.ip());
        }
    }

    fn trunk_of(&self, entry: &Entry) -> Option<TrunkId> {
        let known = || self.trunks.get(&(entry.listener, entry.remote)).copied();
        let asked = || self.edge.identify.trunk(entry.listener, entry.remote.ip(), &[]);
        entry.trunk.or_else(known).or_else(asked)
    }

    fn trunk_name(&self, entry: &Entry) -> Option<String> {
        self.edge.trunk(self.trunk_of(entry)?).map(|trunk| trunk.name.to_string())
    }

    fn listener_name(&self, entry: &Entry) -> String {
        self.edge.listener(entry.listener).map(|listener| listener.name.to_string()).unwrap_or_default()
    }

    /// The edge's own address, where the listener knows only that it takes any.
    pub(super) fn local_of(&mut self, entry: &Entry) -> SocketAddr {
        self.learn(entry);
        let known = self.locals.get(&entry.listener).copied().filter(|_| entry.local.ip().is_unspecified());
        SocketAddr::new(known.unwrap_or(entry.local.ip()), entry.local.port())
    }

    /// What stands beside a packet of a capture.
    pub(super) fn comment(&self, entry: &Entry) -> String {
        let trunk = self.trunk_name(entry).unwrap_or_else(|| "none".to_owned());
        let listener = self.listener_name(entry);
        format!("call {}, {} at listener {listener}, trunk {trunk}", entry.call, entry.transport)
    }

    /// All of a call.
    pub(super) fn tell(mut self, call: CallId, node: &str, kept: &[Kept]) -> TraceShown {
        kept.iter().for_each(|kept| self.learn(&kept.entry));
        let start = kept.first().map(|kept| kept.entry);
        let started = start.map_or(0, |entry| entry.at_us);
        let mut peers = Peers::default();
        let mut seen = Seen::default();
        let mut shown = TraceShown {
            call: call.to_string(),
            node: node.to_owned(),
            redacted: !self.look.unredacted,
            began: rfc3339(start.map_or(0, |entry| entry.unix_us)),
            ..TraceShown::default()
        };
        for kept in kept {
            match kept.entry.what {
                What::Ended => shown.ended = end(kept, started),
                What::Message => {
                    let peer = peers.index(&kept.entry, self.trunk_name(&kept.entry));
                    let again = seen.is_again(kept);
                    let message = self.message(kept, started, peer, again);
                    if !shown.call_ids.contains(&message.call_id) {
                        shown.call_ids.push(message.call_id.clone());
                    }
                    shown.messages.push(message);
                }
            }
        }
        let first = kept.iter().find(|kept| kept.entry.what == What::Message);
        shown.whole = first.is_some_and(|first| {
            first.entry.direction == Direction::In
                && Peek::at(&first.bytes).is_some_and(|peek| peek.begins_call(&first.bytes) || peek.method != b"INVITE")
        });
        shown.caller = first.and_then(|first| party(&first.bytes, b"from", b"f"));
        shown.called = first.and_then(|first| party(&first.bytes, b"to", b"t"));
        shown.peers = peers.named();
        shown
    }

    /// A line for one who follows.
    pub(super) fn line(mut self, kept: &Kept, starts: &mut Starts) -> TraceLine {
        self.learn(&kept.entry);
        let started = starts.of(&kept.entry);
        let mut line = TraceLine { call: kept.entry.call.to_string(), ..TraceLine::default() };
        match kept.entry.what {
            What::Ended => line.ended = end(kept, started),
            What::Message => {
                line.peer = Some(self.trunk_name(&kept.entry).unwrap_or_else(|| kept.entry.remote.ip().to_string()));
                line.message = Some(self.message(kept, started, 0, false));
            }
        }
        line
    }

    fn message(&self, kept: &Kept, started: u64, peer: usize, again: bool) -> TraceMessage {
        let Kept { entry, bytes } = kept;
        let value = |name: &[u8], short: &[u8]| header(bytes, name, short).map(text);
        let (method, status, phrase) = start_line(bytes);
        let reason = value(b"reason", b"").or_else(|| value(b"warning", b""));
        let meaning = reason
            .as_ref()
            .and_then(|reason| microsoft::meaning(status.unwrap_or_default(), reason.as_bytes()))
            .map(str::to_owned);
        let content = header(bytes, b"content-type", b"c").unwrap_or_default();
        TraceMessage {
            at_us: entry.at_us.saturating_sub(started),
            time: rfc3339(entry.unix_us),
            peer,
            received: entry.direction == Direction::In,
            transport: entry.transport.to_string(),
            listener: self.listener_name(entry),
            local: entry.local.to_string(),
            remote: entry.remote.to_string(),
            call_id: value(b"call-id", b"i").unwrap_or_default(),
            method,
            status,
            phrase,
            cseq: value(b"cseq", b"").unwrap_or_default(),
            sdp: content.to_ascii_lowercase().starts_with(b"application/sdp")
                || memchr::memmem::find(bytes, b"\nv=0").is_some(),
            again,
            reason,
            meaning,
            bytes: entry.full_len,
            cut: (bytes.len() as u64) < u64::from(entry.full_len),
            text: self.look.messages.then(|| self.shown(bytes)),
        }
    }

    fn shown(&self, bytes: &[u8]) -> String {
        match self.look.unredacted {
            true => String::from_utf8_lossy(bytes).into_owned(),
            false => String::from_utf8_lossy(&redact(bytes, Mask::Words)).into_owned(),
        }
    }
}

/// When the calls began that one follows; the oldest are let go.
#[derive(Debug, Default)]
pub(super) struct Starts {
    known: HashMap<CallId, u64>,
    order: VecDeque<CallId>,
}

impl Starts {
    const MOST: usize = 4_096;

    fn of(&mut self, entry: &Entry) -> u64 {
        if let Some(&start) = self.known.get(&entry.call) {
            return start;
        }
        self.known.insert(entry.call, entry.at_us);
        self.order.push_back(entry.call);
        if self.order.len() > Self::MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        entry.at_us
    }
}

/// Those whom the edge spoke with, in the order in which they were seen.
#[derive(Debug, Default)]
struct Peers {
    list: Vec<(Option<String>, IpAddr, SocketAddr)>,
}

impl Peers {
    /// A peer is a trunk at an address: ports of connections come and go.
    fn index(&mut self, entry: &Entry, trunk: Option<String>) -> usize {
        let ip = entry.remote.ip().to_canonical();
        let known = self.list.iter().position(|(name, at, _)| *name == trunk && *at == ip);
        known.unwrap_or_else(|| {
            self.list.push((trunk, ip, entry.remote));
            self.list.len() - 1
        })
    }

    fn named(self) -> Vec<TracePeer> {
        let list = &self.list;
        let one = |(trunk, ip, remote): &(Option<String>, IpAddr, SocketAddr)| {
            let alike = list.iter().filter(|(other, ..)| other == trunk).count();
            let name = match trunk {
                Some(trunk) if alike == 1 => trunk.clone(),
                Some(trunk) => format!("{trunk} {ip}"),
                None => ip.to_string(),
            };
            TracePeer { name, trunk: trunk.clone(), address: remote.to_string() }
        };
        list.iter().map(one).collect()
    }
}

/// Messages that have passed, to know those that pass again.
#[derive(Debug, Default)]
struct Seen<'k>(HashSet<(Direction, SocketAddr, &'k [u8])>);

impl<'k> Seen<'k> {
    fn is_again(&mut self, kept: &'k Kept) -> bool {
        !self.0.insert((kept.entry.direction, kept.entry.remote, &kept.bytes))
    }
}

fn end(kept: &Kept, started: u64) -> Option<TraceEnd> {
    let ended: Ended = serde_json::from_slice(&kept.bytes).ok()?;
    Some(TraceEnd {
        at_us: kept.entry.at_us.saturating_sub(started),
        words: ended.words(),
        outcome: ended.outcome,
        failed: ended.failed,
        status: ended.status,
    })
}

/// Method of a request; status and phrase of an answer.
fn start_line(message: &[u8]) -> (Option<String>, Option<u16>, Option<String>) {
    let line = message.split(|&byte| byte == b'\n').next().unwrap_or_default().trim_ascii();
    let mut words = line.splitn(3, |&byte| byte == b' ');
    let (first, second, third) = (words.next().unwrap_or_default(), words.next(), words.next());
    if first == b"SIP/2.0" {
        let status = second.and_then(|status| std::str::from_utf8(status).ok()?.parse().ok());
        return (None, status, third.map(text));
    }
    (Some(text(first)), None, None)
}

/// The user part of the address in a header, else its host.
pub(super) fn party(message: &[u8], name: &[u8], short: &[u8]) -> Option<String> {
    let address = NameAddr::parse(header(message, name, short)?).ok()?;
    let uri = address.uri().ok()?;
    Some(text(uri.user.unwrap_or(uri.host)))
}

/// Bytes of a peer as text on a line, not too long.
fn text(bytes: &[u8]) -> String {
    let bytes = bytes.get(..MAX_TEXT).unwrap_or(bytes);
    String::from_utf8_lossy(bytes).chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// Microseconds since 1970 as RFC 3339 has them, in UTC.
pub(super) fn rfc3339(unix_us: u64) -> String {
    let time = i64::try_from(unix_us).ok().and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok());
    time.map(|time| format!("{time:.6}")).unwrap_or_default()
}

#[cfg(test)]
mod tests;
