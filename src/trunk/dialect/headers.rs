//! Headers of others that a peer gets or is spared, and the rules of an operator for them. Data: `call` follows them.

use std::sync::Arc;

use regex::bytes::Regex;

use crate::trunk::TrunkKind;

/// Rules of a trunk, both directions together.
pub const MAX_RULES: usize = 64;
/// Names in `pass_headers`.
pub const MAX_PASSED: usize = 64;
/// Characters of a header's name.
pub const MAX_NAME: usize = 64;
/// Characters of a value as it is configured, and of a pattern.
pub const MAX_TEXT: usize = 512;
/// Bytes of a value once its variables are filled in. A rule that would write more is passed over.
pub const MAX_VALUE: usize = 1_024;
/// What a rule may wait for: methods and kinds of messages.
pub const MAX_ON: usize = 16;

/// What becomes of headers on their way to and from a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// Which headers of no standard are spared to the peer.
    pub spared: Spared,
    /// Names that pass though they are spared to its kind.
    pub passed: Arc<[Name]>,
    /// For what comes from it, before it is routed.
    pub inbound: Arc<[Rule]>,
    /// For what goes to it, after all else.
    pub outbound: Arc<[Rule]>,
}

/// Which headers of no standard, or of a trust domain only, are spared to a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spared {
    /// Microsoft's own (`X-MS-...`, `ms-...`): they are of Teams' leg and of nobody else's.
    #[default]
    Microsoft,
    /// Those, and all that begin with `P-` or `X-` (RFC 3427 section 4, RFC 6648).
    Private,
}

/// A header's name, or the beginning of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Without the `*`.
    pub text: Box<str>,
    /// It was written with `*` at its end.
    pub open: bool,
}

impl Name {
    /// Whether a name in a message is meant.
    pub fn is(&self, name: &[u8]) -> bool {
        let text = self.text.as_bytes();
        match name.get(..text.len()) {
            Some(start) => start.eq_ignore_ascii_case(text) && (self.open || name.len() == text.len()),
            None => false,
        }
    }
}

/// One rule of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Which messages it is for; one of them is enough.
    pub on: Box<[On]>,
    /// In any case.
    pub name: Box<str>,
    pub action: Action,
    pub when: Option<When>,
}

/// Messages that a rule is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum On {
    Requests,
    Answers,
    /// Requests of this method.
    Method(Box<str>),
    /// Answers with a status from the first to the last.
    Status(u16, u16),
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Puts a line behind all others.
    Add(Value),
    /// The same in the place of all lines of that name.
    Set(Value),
    /// Takes all lines of the name away.
    Remove,
    /// Gives all lines of the name another one.
    Rename(Box<str>),
}

/// A value with variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Value(pub Box<[Part]>);

/// A stretch of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Text(Box<str>),
    /// Where it has nothing to say, the rule does nothing.
    Variable(Variable),
}

/// What may stand in the place of a stretch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variable {
    /// The tenant's id.
    Tenant,
    /// The FQDN of the tenant's site.
    Site,
    /// The name of the trunk that has the rule.
    Trunk,
    /// The name of the trunk at the other end.
    Peer,
    /// The user part of the URI in From.
    FromUser,
    /// The user part of the URI in To.
    ToUser,
    CallId,
    Method,
    /// The first line of this name.
    Header(Box<str>),
}

impl Variable {
    /// Those without a parameter, as they are written.
    pub const WORDS: [(&'static str, Self); 8] = [
        ("tenant", Self::Tenant),
        ("site", Self::Site),
        ("trunk", Self::Trunk),
        ("peer", Self::Peer),
        ("from.user", Self::FromUser),
        ("to.user", Self::ToUser),
        ("call_id", Self::CallId),
        ("method", Self::Method),
    ];
}

/// What must hold for a rule to do anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct When {
    /// A header that must be there.
    pub name: Box<str>,
    /// What one of its lines must match.
    pub matches: Option<Pattern>,
}

/// A regular expression; equal to another of the same text.
#[derive(Clone, Debug)]
pub struct Pattern(pub Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

impl Headers {
    /// What is taken for granted of a kind of peer.
    pub fn of_kind(kind: TrunkKind) -> Self {
        let spared = match kind {
            TrunkKind::Carrier => Spared::Private,
            TrunkKind::Teams | TrunkKind::Pbx => Spared::Microsoft,
        };
        Self { spared, ..Self::default() }
    }

    /// Whether a header of this name is spared to the peer.
    pub fn spares(&self, name: &[u8]) -> bool {
        let starts =
            |with: &str| name.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with.as_bytes()));
        let spared = match name.first() {
            Some(b'x' | b'X') => starts("X-MS-") || self.spared == Spared::Private && starts("X-"),
            Some(b'p' | b'P') => self.spared == Spared::Private && starts("P-"),
            Some(b'm' | b'M') => starts("ms-"),
            _ => false,
        };
        spared && !self.passes(name)
    }

    /// Whether the operator wants a header of this name to pass.
    pub fn passes(&self, name: &[u8]) -> bool {
        self.passed.iter().any(|passed| passed.is(name))
    }
}

/// Headers that no rule may touch: the protocol lives by them, and the edge writes them itself. In lower case, with
/// their compact forms.
pub const OWN: [&str; 28] = [
    "via",
    "v",
    "route",
    "record-route",
    "path",
    "service-route",
    "call-id",
    "i",
    "cseq",
    "contact",
    "m",
    "from",
    "f",
    "to",
    "t",
    "max-forwards",
    "content-length",
    "l",
    "content-encoding",
    "e",
    "rack",
    "rseq",
    "event",
    "o",
    "subscription-state",
    "replaces",
    "x-ms-sbc",
    "timestamp",
];
