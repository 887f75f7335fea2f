//! Why a target is thought to be as it is, in words for operators.

use std::fmt;
use std::time::Duration;

use super::{By, LinkFault, Outcome};

/// Why a target is in its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Nothing was heard of it yet.
    Assumed,
    /// It answers.
    Answers { by: By, status: u16 },
    /// It answers again, but not often enough yet to be up.
    Returns { by: By, status: u16, times: u8, wanted: u8 },
    /// Requests to it fail, so many in a row.
    Fails { by: By, what: Outcome, in_a_row: u8 },
    /// It asked to be left alone for so long.
    Waits { by: By, wait: Duration },
    /// It was left alone long enough, for whatever reason, to be tried again.
    WaitOver,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Assumed => f.write_str("nothing heard of it yet"),
            Self::Answers { by, status } => write!(f, "answered {by} with {status}"),
            Self::Returns { by, status, times, wanted } => {
                write!(f, "answered {by} with {status} again, {times} of {wanted} times")
            }
            Self::Fails { by, what, in_a_row } => {
                match what {
                    Outcome::Answered { status, .. } => write!(f, "answered {by} with {status}")?,
                    Outcome::Silent => write!(f, "left {by} without an answer")?,
                    Outcome::NotSent(fault) => write!(f, "{by} could not be sent: {fault}")?,
                    Outcome::Unresolved => f.write_str("its name leads to no address")?,
                }
                if in_a_row > 1 { write!(f, ", {in_a_row} times in a row") } else { Ok(()) }
            }
            Self::Waits { by, wait } => {
                write!(f, "answered {by} with 503 and asked to be left alone for {} s", wait.as_secs())
            }
            Self::WaitOver => f.write_str("left alone long enough to be tried again"),
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Options => "OPTIONS",
            Self::Call => "a call",
        })
    }
}

impl fmt::Display for LinkFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "the connection was refused",
            Self::ConnectTimeout => "the connection was not opened in time",
            Self::Tls => "the TLS handshake failed",
            Self::Unreachable => "the network has no way there",
            Self::Closed => "the connection ended",
            Self::Local => "the edge has no room for it",
            Self::Unknown => "the transport failed",
        })
    }
}
