//! An operator's rules for headers: a pass of its own over a message, after it came and before it leaves, for trunks that
//! have rules and for no others. It is made for messages that pass the edge, whoever owns the legs; what the edge says
//! itself (100, refusals, ACK and CANCEL of its own, OPTIONS) is left alone.
//!
//! Each rule sees what the rules before it made. None can hurt the frame of a message: names are tokens and not those of
//! the protocol, which the configuration sees to, and what a variable brings has no line break left.

use bytes::Bytes;

use crate::call::edge::Edge;
use crate::call::leg::Leg;
use crate::call::owned::Dialog;
use crate::routing::{Site, Tenant};
use crate::sip::edit::{Edits, write_header};
use crate::sip::limits::MESSAGE_BYTES_TOP;
use crate::sip::{HeaderName, Line, Message, Span, scan};
use crate::trunk::dialect::headers::{Action, MAX_VALUE, On, Part, Rule, Value, Variable, When};
use crate::trunk::{Trunk, TrunkId};

/// What rules may speak of beyond the message.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The trunk whose rules they are.
    pub trunk: &'a Trunk,
    /// The trunk at the other end, where it is known.
    pub peer: Option<&'a Trunk>,
    pub tenant: Option<&'a Tenant>,
    pub site: Option<&'a Site>,
}

impl<'a> Facts<'a> {
    /// Of a message between two trunks whose request, on the leg where it came in, was sent to `host`.
    pub fn of(edge: &'a Edge, (owner, peer): (&'a Trunk, Option<TrunkId>), crossed: Crossed<'a>) -> Self {
        let Crossed { leg, dialog, near, host } = crossed;
        let marked = || edge.routing.sites().marked(dialog?.site?);
        let named = || edge.routing.site(host).filter(|site| site.teams == near);
        let site = leg.and_then(|leg| leg.site.as_ref()).or_else(marked).or_else(named);
        Self {
            trunk: owner,
            peer: peer.and_then(|peer| edge.trunk(peer)),
            tenant: leg.and_then(|leg| leg.tenant.as_deref()),
            site: site.map(|site| &**site),
        }
    }
}

/// What is known of the way of a message.
#[derive(Clone, Copy, Debug)]
pub struct Crossed<'a> {
    pub leg: Option<&'a Leg>,
    pub dialog: Option<&'a Dialog>,
    /// Where the request came from.
    pub near: TrunkId,
    /// The host of its Request-URI, as it came.
    pub host: &'a [u8],
}

/// A message as the rules of the trunk that it came from make it, the first of the two; `None` when nothing changes.
pub fn incoming(
    edge: &Edge,
    (owner, peer): (TrunkId, Option<TrunkId>),
    crossed: Crossed<'_>,
    message: &Message,
    edits: &mut Edits,
) -> Option<Message> {
    let owner = edge.trunk(owner).filter(|trunk| !trunk.dialect.headers.inbound.is_empty())?;
    applied(&owner.dialect.headers.inbound, message, &Facts::of(edge, (owner, peer), crossed), edits)
}

/// The bytes of a message as the rules of the trunk that it goes to make them, the first of the two.
pub fn outgoing(
    edge: &Edge,
    (owner, peer): (TrunkId, TrunkId),
    crossed: Crossed<'_>,
    bytes: Bytes,
    edits: &mut Edits,
) -> Bytes {
    match edge.trunk(owner).filter(|trunk| !trunk.dialect.headers.outbound.is_empty()) {
        Some(owner) => {
            let facts = Facts::of(edge, (owner, Some(peer)), crossed);
            let ruled = Message::reread(&bytes);
            let ruled = ruled.and_then(|message| applied(&owner.dialect.headers.outbound, &message, &facts, edits));
            ruled.map_or(bytes, |message| message.bytes().clone())
        }
        None => bytes,
    }
}

/// Applies rules to a message in turn; `None` when nothing changes.
pub fn applied(rules: &[Rule], message: &Message, facts: &Facts<'_>, edits: &mut Edits) -> Option<Message> {
    let mut made: Option<Message> = None;
    for rule in rules {
        let seen = made.as_ref().unwrap_or(message);
        if !(is_for(rule, seen) && rule.when.as_ref().is_none_or(|when| holds(when, seen))) {
            continue;
        }
        edits.clear();
        obey(rule, seen, facts, edits);
        if edits.is_empty() {
            continue;
        }
        let bytes = edits.apply(seen);
        // What would not go over the wire any more stays as it was.
        if bytes.len() <= MESSAGE_BYTES_TOP
            && let Some(message) = Message::reread(&bytes)
        {
            made = Some(message);
        }
    }
    made
}

fn is_for(rule: &Rule, message: &Message) -> bool {
    rule.on.iter().any(|on| match on {
        On::Requests => message.is_request(),
        On::Answers => !message.is_request(),
        On::Method(method) => message.method() == method.as_bytes(),
        On::Status(first, last) => !message.is_request() && (*first..=*last).contains(&message.status()),
    })
}

fn holds(when: &When, message: &Message) -> bool {
    let mut lines = lines(message, &when.name);
    match &when.matches {
        None => lines.next().is_some(),
        Some(pattern) => lines.any(|line| pattern.0.is_match(message.value_at(line))),
    }
}

fn obey(rule: &Rule, message: &Message, facts: &Facts<'_>, edits: &mut Edits) {
    match &rule.action {
        Action::Add(value) => {
            if let Some(value) = filled(value, message, facts) {
                edits.insert_with(message.header_block().end, |out| write_header(out, &rule.name, &value));
            }
        }
        Action::Set(value) => {
            let Some(value) = filled(value, message, facts) else { return };
            let mut lines = lines(message, &rule.name);
            match lines.next() {
                Some(line) => edits.set_line(line, &value),
                None => edits.insert_with(message.header_block().end, |out| write_header(out, &rule.name, &value)),
            }
            lines.for_each(|line| edits.remove_line(line));
        }
        Action::Remove => lines(message, &rule.name).for_each(|line| edits.remove_line(line)),
        Action::Rename(name) => {
            for line in lines(message, &rule.name) {
                let len = message.name_at(line).len() as u16; // within the line
                edits.replace(Span { start: line.start, end: line.start + len }, name.as_bytes());
            }
        }
    }
}

/// A value with its variables filled in; `None` when one of them says nothing, or the value grows too long.
fn filled(value: &Value, message: &Message, facts: &Facts<'_>) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(64);
    for part in &value.0 {
        match part {
            Part::Text(text) => out.extend_from_slice(text.as_bytes()),
            Part::Variable(variable) => {
                let said = said(variable, message, facts).map(scan::trim).filter(|said| !said.is_empty())?;
                write_on_one_line(said, &mut out);
            }
        }
        if out.len() > MAX_VALUE {
            return None;
        }
    }
    Some(out)
}

fn said<'a>(variable: &Variable, message: &'a Message, facts: &Facts<'a>) -> Option<&'a [u8]> {
    let user = |address: Option<crate::sip::NameAddr<'a>>| address.and_then(|address| address.uri().ok()?.user);
    match variable {
        Variable::Tenant => {
            let of_site = || facts.site.map(|site| &*site.tenant);
            facts.tenant.map(|tenant| &*tenant.id).or_else(of_site).map(str::as_bytes)
        }
        Variable::Site => facts.site.map(|site| site.fqdn.as_bytes()),
        Variable::Trunk => Some(facts.trunk.name.as_bytes()),
        Variable::Peer => facts.peer.map(|peer| peer.name.as_bytes()),
        Variable::FromUser => user(message.from().ok()),
        Variable::ToUser => user(message.to().ok()),
        Variable::CallId => message.call_id().ok(),
        Variable::Method => message.cseq().ok().map(|cseq| cseq.method),
        Variable::Header(name) => lines(message, name).next().map(|line| message.value_at(line)),
    }
}

/// Folds and other control characters become blanks.
fn write_on_one_line(text: &[u8], out: &mut Vec<u8>) {
    let mut blank = false;
    for &byte in text {
        let is_blank = byte < 0x20 || byte == 0x7f;
        match (is_blank, blank) {
            (true, true) => {}
            (true, false) => out.push(b' '),
            (false, _) => out.push(byte),
        }
        blank = is_blank;
    }
}

/// Headers that have a short name (RFC 3261 section 7.3.3 and others), of those that the message layer does not know.
const SHORT: [(&str, &str); 10] = [
    ("s", "Subject"),
    ("r", "Refer-To"),
    ("b", "Referred-By"),
    ("x", "Session-Expires"),
    ("u", "Allow-Events"),
    ("y", "Identity"),
    ("n", "Identity-Info"),
    ("a", "Accept-Contact"),
    ("j", "Reject-Contact"),
    ("d", "Request-Disposition"),
];

/// The lines of a name, or of what is short for it.
fn lines<'m>(message: &'m Message, name: &str) -> impl Iterator<Item = &'m Line> {
    let known = HeaderName::recognise(name.as_bytes());
    let other = SHORT.iter().find_map(|(short, long)| {
        let is = |text: &str| text.eq_ignore_ascii_case(name);
        if is(short) { Some(*long) } else { is(long).then_some(*short) }
    });
    let name = name.to_owned();
    message.lines().iter().filter(move |line| {
        if line.name != HeaderName::Other || known != HeaderName::Other {
            return line.name == known;
        }
        let written = message.name_at(line);
        let is = |name: &str| written.eq_ignore_ascii_case(name.as_bytes());
        is(&name) || other.is_some_and(is)
    })
}

#[cfg(test)]
mod tests;
