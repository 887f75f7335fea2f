//! What a SUBSCRIBE asks for, and the answers to what cannot be had.

use std::time::Duration;

use super::Settings;
use crate::presence::access::Refusal;
use crate::presence::agent::{Answer, Arrived};
use crate::sip::scan::{self, Params, Values};
use crate::sip::{HeaderName, Message};

/// An event package that the edge tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Package {
    /// RFC 3856, with PIDF documents.
    Presence,
    /// RFC 4235, with dialog-info documents: lamp keys.
    Dialog,
}

impl Package {
    /// All packages, as Allow-Events has them.
    pub const ALL: [Self; 2] = [Self::Presence, Self::Dialog];

    /// The name in Event.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Presence => "presence",
            Self::Dialog => "dialog",
        }
    }

    /// The type of its documents.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Presence => "application/pidf+xml",
            Self::Dialog => "application/dialog-info+xml",
        }
    }

    /// The packages in a list, for Allow-Events.
    pub fn list() -> String {
        Self::ALL.map(Self::word).join(", ")
    }
}

/// Event, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub package: Package,
    pub id: Option<Box<str>>,
    /// RFC 6446 section 5.1.
    pub min_interval: Option<Duration>,
}

impl Event {
    /// Reads the Event header of a request; `None`: there is none, or it names a package that the edge does not know.
    pub fn of(message: &Message) -> Option<Self> {
        let value = message.other(b"event").or_else(|| message.other(b"o"))?;
        let end = value.iter().position(|&byte| byte == b';').unwrap_or(value.len());
        let (name, params) = value.split_at(end);
        let name = scan::trim(name);
        let package = Package::ALL.into_iter().find(|package| name.eq_ignore_ascii_case(package.word().as_bytes()))?;
        let text = |name| {
            let value = Params::new(params).find(name)?.value?;
            std::str::from_utf8(value).ok()
        };
        Some(Self {
            package,
            id: text(b"id").filter(|id| id.len() <= MAX_ID).map(Into::into),
            min_interval: text(b"min-interval").and_then(seconds),
        })
    }
}

/// What a watcher wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    pub event: Event,
    /// Zero: only what is now, or the end.
    pub expires: Duration,
}

impl Wish {
    /// Reads a SUBSCRIBE.
    ///
    /// # Errors
    /// The answer, when it cannot be had.
    pub fn read(message: &Message, settings: &Settings) -> Result<Self, Refused> {
        let required: Vec<_> = message.option_tags(HeaderName::Require).map(String::from_utf8_lossy).collect();
        if !required.is_empty() {
            return Err(Refused::new(420, "Bad Extension").with("Unsupported", required.join(", ")));
        }
        let event = Event::of(message).ok_or_else(Refused::bad_event)?;
        if !accepts(message, event.package.content_type()) {
            let types = event.package.content_type().to_owned();
            return Err(Refused::new(406, "Not Acceptable").with("Accept", types));
        }
        let expires = granted(message, settings.min_expires, settings.max_expires)?;
        Ok(Self { event, expires })
    }
}

/// How long a soft state gets: what the request asks for, within bounds; the longest where it does not say.
///
/// # Errors
/// 423 when it asks for less than the least, but not for zero.
pub fn granted(message: &Message, least: Duration, most: Duration) -> Result<Duration, Refused> {
    match message.expires().map(|seconds| Duration::from_secs(seconds.into())) {
        None => Ok(most),
        Some(Duration::ZERO) => Ok(Duration::ZERO),
        Some(wanted) if wanted < least => {
            Err(Refused::new(423, "Interval Too Brief").with("Min-Expires", least.as_secs().to_string()))
        }
        Some(wanted) => Ok(wanted.min(most)),
    }
}

/// Whether the Accept headers take a type (RFC 3261 section 20.1); without any, the package's own type goes.
fn accepts(message: &Message, wanted: &str) -> bool {
    let mut lines = message
        .lines()
        .iter()
        .filter(|line| line.name == HeaderName::Other && message.name_at(line).eq_ignore_ascii_case(b"accept"))
        .peekable();
    if lines.peek().is_none() {
        return true;
    }
    lines.flat_map(|line| Values::new(message.value_at(line))).filter_map(Result::ok).any(|range| {
        let end = range.iter().position(|&byte| byte == b';').unwrap_or(range.len());
        let (range, params) = range.split_at(end);
        let range = scan::trim(range);
        let refused = Params::new(params)
            .find(b"q")
            .and_then(|q| q.value)
            .is_some_and(|q| q.iter().all(|byte| matches!(byte, b'0' | b'.')));
        let fits = range == b"*/*"
            || range.eq_ignore_ascii_case(b"application/*")
            || range.eq_ignore_ascii_case(wanted.as_bytes());
        fits && !refused
    })
}

/// Seconds with or without decimals.
fn seconds(text: &str) -> Option<Duration> {
    if !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}

/// A request that is refused, with the headers of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub status: u16,
    reason: &'static str,
    headers: Vec<(&'static str, String)>,
}

impl Refused {
    /// A refusal.
    pub const fn new(status: u16, reason: &'static str) -> Self {
        Self { status, reason, headers: Vec::new() }
    }

    /// 400 with what is wrong.
    pub const fn bad(reason: &'static str) -> Self {
        Self::new(400, reason)
    }

    /// The trunk may not, or whom it means is not clear.
    pub const fn of_access(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Forbidden => Self::new(403, "Forbidden"),
            Refusal::NotFound => Self::new(404, "Not Found"),
            Refusal::Ambiguous => Self::new(485, "Ambiguous"),
        }
    }

    /// 489: the event is none of the edge's.
    pub fn bad_event() -> Self {
        Self::new(489, "Bad Event").with("Allow-Events", Package::list())
    }

    /// 405: the notifier's dialogs take SUBSCRIBE only.
    pub fn method() -> Self {
        Self::new(405, "Method Not Allowed").with("Allow", "SUBSCRIBE".to_owned())
    }

    /// Adds a header.
    pub fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The answer to a request.
    pub fn into_answer(self, arrived: &Arrived) -> Answer {
        Answer {
            handle: arrived.handle,
            status: self.status,
            reason: self.reason,
            to_tag: None,
            contact_user: None,
            headers: self.headers,
            body: None,
        }
    }
}

/// The longest `id` of an Event that is kept.
const MAX_ID: usize = 128;
