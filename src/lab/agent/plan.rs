//! What a stand-in is to do: calls that it places, and how it answers.

use std::net::IpAddr;
use std::time::Duration;

use crate::lab::wire::Destination;

/// A call to place.
#[derive(Clone, Debug)]
pub struct CallPlan {
    /// The number to call.
    pub number: String,
    /// The caller's number.
    pub from: String,
    /// Host, with port if wanted, of the Request-URI.
    pub host: String,
    /// Where the INVITE is sent.
    pub to: Destination,
    /// Take the call back this long after the INVITE.
    pub cancel_after: Option<Duration>,
    /// Put the call on hold this long after the answer, and take it back a little later.
    pub hold_after: Option<Duration>,
    /// Hang up this long after the answer; `None`: the other side does.
    pub hang_up_after: Option<Duration>,
    /// The call is a failure when it is not over by then.
    pub limit: Duration,
}

impl CallPlan {
    /// A plain call in which the other side hangs up.
    pub fn new(number: &str, from: &str, host: &str, to: Destination) -> Self {
        Self {
            number: number.into(),
            from: from.into(),
            host: host.into(),
            to,
            cancel_after: None,
            hold_after: None,
            hang_up_after: None,
            limit: Duration::from_secs(10),
        }
    }
}

/// How a call is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// 200 this long after the INVITE.
    Answer { after: Duration },
    /// A final refusal this long after the INVITE.
    Reject { code: u16, after: Duration },
    /// Ringing until the caller gives up.
    Ring,
}

/// How one call is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Script {
    /// When the provisional answer is sent; `None`: none but 100.
    pub ring_after: Option<Duration>,
    /// 183 with SDP instead of 180.
    pub early_media: bool,
    pub outcome: Outcome,
    /// Put the call on hold this long after the ACK.
    pub hold_after: Option<Duration>,
    /// Hang up this long after the ACK; `None`: the caller does.
    pub hang_up_after: Option<Duration>,
}

impl Script {
    /// Rings at once and answers after a while; the caller hangs up.
    pub const fn answer(after: Duration) -> Self {
        Self {
            ring_after: Some(Duration::ZERO),
            early_media: false,
            outcome: Outcome::Answer { after },
            hold_after: None,
            hang_up_after: None,
        }
    }

    /// Refuses at once.
    pub const fn reject(code: u16) -> Self {
        let outcome = Outcome::Reject { code, after: Duration::ZERO };
        Self { ring_after: None, early_media: false, outcome, hold_after: None, hang_up_after: None }
    }

    /// Rings until the caller gives up.
    pub const fn ring() -> Self {
        Self { outcome: Outcome::Ring, ..Self::answer(Duration::ZERO) }
    }

    /// The same, but this side hangs up.
    #[must_use]
    pub const fn hang_up_after(mut self, after: Duration) -> Self {
        self.hang_up_after = Some(after);
        self
    }

    /// The same with 183 and SDP.
    #[must_use]
    pub const fn with_early_media(mut self) -> Self {
        self.early_media = true;
        self
    }
}

/// Scripts by called number.
#[derive(Clone, Debug)]
pub struct Scripts {
    by_number: Vec<(String, Script)>,
    other: Script,
}

impl Default for Scripts {
    fn default() -> Self {
        Self { by_number: Vec::new(), other: Script::answer(Duration::from_millis(200)) }
    }
}

impl Scripts {
    /// A script for one number.
    #[must_use]
    pub fn with(mut self, number: &str, script: Script) -> Self {
        self.by_number.push((number.into(), script));
        self
    }

    /// The script for all numbers that have none of their own.
    #[must_use]
    pub fn with_other(mut self, script: Script) -> Self {
        self.other = script;
        self
    }

    /// The script for a called number.
    pub fn script(&self, number: &str) -> Script {
        self.by_number.iter().find(|(known, _)| known == number).map_or(self.other, |(_, script)| *script)
    }
}

/// Host names that a stand-in knows, in place of DNS; `*.` stands for one label.
#[derive(Clone, Debug, Default)]
pub struct Names(Vec<(String, IpAddr)>);

impl Names {
    /// One more name.
    #[must_use]
    pub fn with(mut self, name: &str, addr: IpAddr) -> Self {
        self.0.push((name.to_ascii_lowercase(), addr));
        self
    }

    /// The address of a name or of a literal.
    pub fn address(&self, host: &str) -> Option<IpAddr> {
        if let Ok(addr) = host.parse() {
            return Some(addr);
        }
        let host = host.to_ascii_lowercase();
        let above = host.split_once('.').map(|(_, above)| above);
        self.0
            .iter()
            .find(|(name, _)| *name == host || (above.is_some() && name.strip_prefix("*.") == above))
            .map(|(_, a)| *a)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_star_cover_one_label() {
        let addr: IpAddr = "127.0.0.1".parse().unwrap();
        let names = Names::default().with("sbc.example.net", addr).with("*.customers.example.net", addr);
        assert_eq!(names.address("SBC.example.net"), Some(addr));
        assert_eq!(names.address("contoso.customers.example.net"), Some(addr));
        assert_eq!(names.address("a.contoso.customers.example.net"), None);
        assert_eq!(names.address("customers.example.net"), None);
        assert_eq!(names.address("127.0.0.9"), "127.0.0.9".parse().ok());
    }

    #[test]
    fn numbers_have_scripts() {
        let scripts = Scripts::default().with("1", Script::reject(486)).with_other(Script::ring());
        assert_eq!(scripts.script("1"), Script::reject(486));
        assert_eq!(scripts.script("2"), Script::ring());
    }
}
