//! Whether the targets of a trunk are there: OPTIONS that are answered or not, and what calls met with. Pure.
//!
//! The target is the unit, since Microsoft's data centres are names: where several places are behind a name, one that
//! answers is enough. Nothing here keeps a call from a target. One that is down is tried last, so that a wrong guess
//! costs time and never a call.
//!
//! ```text
//!              +-------- alive -------+
//!              v                      |
//!           +----+  missed once  +---------+
//!           | up |-------------->| suspect |
//!           +----+               +---------+
//!            ^  |  cannot be reached  |  ^
//!   alive,   |  |  or asks to be left |  | nobody asks it, and it was
//!   up_after |  v  alone, or missed   v  | left alone long enough
//!   times  +---------  down_after times  --------+
//!          |                 down                |
//!          +-------------------------------------+
//! ```
//!
//! A target that is not up is asked sooner, then more and more rarely. One that nobody asks (`options_interval_s = 0`)
//! is known by its calls alone and is tried in its place again after a while.

mod machine;
mod reason;
mod settings;
mod table;

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

pub use machine::{Change, Due, Health};
pub use reason::Reason;
pub use settings::{Alive, Settings};
pub use table::Table;

/// What is thought of a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It answers, or nothing is known against it.
    #[default]
    Up,
    /// Something failed; it keeps its place until more does.
    Suspect,
    /// It is tried after all others.
    Down,
}

impl State {
    /// All states, from good to bad.
    pub const ALL: [Self; 3] = [Self::Up, Self::Suspect, Self::Down];

    /// The state in one lower-case word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Suspect => "suspect",
            Self::Down => "down",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Who met with something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum By {
    /// OPTIONS of the edge's own.
    Options,
    /// A request that was sent on.
    Call,
}

/// What a request to a target met with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// An answer; `retry_after` is that of a 503 (RFC 3261 section 20.33).
    Answered { status: u16, retry_after: Option<Duration> },
    /// No answer in time.
    Silent,
    /// It did not leave.
    NotSent(LinkFault),
    /// The target's name leads to no place (RFC 3263).
    Unresolved,
}

/// Why a request did not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkFault {
    /// The connection was refused.
    Refused,
    /// The connection was not opened in time.
    ConnectTimeout,
    /// The TLS handshake failed.
    Tls,
    /// The network has no way there.
    Unreachable,
    /// The connection ended under it.
    Closed,
    /// The edge itself had no room for it.
    Local,
    /// A call could not be sent; no more is known of it.
    Unknown,
}

impl LinkFault {
    /// Whether it says enough by itself: what a single connection or the edge's own queues did does not.
    pub const fn counts_at_once(self) -> bool {
        !matches!(self, Self::Closed | Self::Local)
    }
}

/// Something that is heard of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    pub by: By,
    pub what: Outcome,
}
