//! What a stand-in is to do: calls that it places, and how it answers.

use std::net::IpAddr;
use std::time::Duration;

use crate::lab::journal::CallRecord;
use crate::lab::wire::Destination;

/// Session-Expires of Microsoft's proxy, in seconds.
pub const SESSION_EXPIRES: u32 = 3600;
/// Min-SE of Microsoft's proxy, in seconds.
pub const MIN_SE: u32 = 300;
/// FailoverTimeSeconds of a trunk as Microsoft sets it (section A8).
const FAILOVER: Duration = Duration::from_secs(10);
/// How long a transfer may take by default: the time in which a client transaction ends (RFC 3261 timer F).
const NOTIFY_WITHIN: Duration = Duration::from_secs(32);

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
    /// Parameters at the end of the Request-URI, each with its semicolon.
    pub uri_parameters: String,
    /// From tells nothing (RFC 3323 section 4.1.1.3).
    pub anonymous: bool,
    /// More header lines of the INVITE.
    pub headers: Vec<(String, String)>,
    /// A PIDF-LO document that goes beside the SDP in a multipart body (RFC 6442).
    pub location: Option<String>,
    /// The dialog that this call takes over (RFC 3891).
    pub replaces: Option<Replaced>,
    /// Refresh the session by re-INVITE this long after the answer, and after each refresh (RFC 4028).
    pub refresh_after: Option<Duration>,
    /// Transfer the call.
    pub refer: Option<Refer>,
    /// A trunk that has answered with nothing but 100 by then is given up.
    pub failover_after: Duration,
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
            uri_parameters: String::new(),
            anonymous: false,
            headers: Vec::new(),
            location: None,
            replaces: None,
            refresh_after: None,
            refer: None,
            failover_after: FAILOVER,
        }
    }
}

/// A dialog as Replaces names it (RFC 3891 section 6.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    pub call_id: String,
    /// The tag of the side that gets the Replaces.
    pub to_tag: String,
    /// The tag of its partner.
    pub from_tag: String,
}

impl Replaced {
    /// The dialog of a call of the stand-in that sends the Replaces; `None` when the call got no dialog.
    pub fn of(record: &CallRecord) -> Option<Self> {
        Some(Self {
            call_id: record.call_id.clone(),
            to_tag: record.remote_tag.clone()?,
            from_tag: record.local_tag.clone(),
        })
    }
}

/// Whom a call is transferred to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReferTarget {
    /// A user of Teams by object id: a URI without user part, with opaque parameters.
    User(String),
    /// A telephone number at Microsoft's proxy.
    Number(String),
}

/// A transfer by REFER (RFC 3515), in the form of the traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refer {
    /// This long after the ACK.
    pub after: Duration,
    pub target: ReferTarget,
    /// How long NOTIFY with a final status may take.
    pub notify_within: Duration,
}

impl Refer {
    /// A transfer with time enough for the new call to ring.
    pub const fn new(after: Duration, target: ReferTarget) -> Self {
        Self { after, target, notify_within: NOTIFY_WITHIN }
    }
}

/// One provisional answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ring {
    /// This long after the INVITE.
    pub after: Duration,
    /// 180, 181 or 183.
    pub code: u16,
    /// Whether it has an SDP.
    pub media: bool,
    /// Which fork rings: each number has a To tag and a Contact of its own.
    pub fork: u8,
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
    /// Nothing at all comes back, not even 100.
    Silence,
}

/// How one call is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Provisional answers in place of the one that `ring_after` and `early_media` make.
    pub rings: Vec<Ring>,
    /// The fork that answers.
    pub answer_fork: u8,
    /// Session-Expires of the 200 in seconds, which this side refreshes (RFC 4028 section 9).
    pub session_expires: Option<u32>,
    /// Refresh by re-INVITE this long after the ACK, and after each refresh.
    pub refresh_after: Option<Duration>,
    /// Transfer the call.
    pub refer: Option<Refer>,
    /// More header lines of the final answer, such as Reason or Retry-After.
    pub headers: Vec<(String, String)>,
}

impl Script {
    /// Rings at once and answers after a while; the caller hangs up.
    pub const fn answer(after: Duration) -> Self {
        Self::new(Some(Duration::ZERO), Outcome::Answer { after })
    }

    /// Refuses at once.
    pub const fn reject(code: u16) -> Self {
        Self::new(None, Outcome::Reject { code, after: Duration::ZERO })
    }

    /// Rings until the caller gives up.
    pub const fn ring() -> Self {
        Self::new(Some(Duration::ZERO), Outcome::Ring)
    }

    /// Says nothing at all.
    pub const fn silence() -> Self {
        Self::new(None, Outcome::Silence)
    }

    /// As a user with two telephones in the traces: both ring, 183 without SDP comes from a third fork, the second
    /// telephone's client answers by a fork that nobody has heard of, and the session is refreshed every half hour.
    pub fn trace_2020(after: Duration) -> Self {
        let ring = |tenths, code, fork| Ring { after: after * tenths / 10, code, media: false, fork };
        let mut script = Self::answer(after);
        script.rings = vec![ring(0, 180, 0), ring(2, 180, 1), ring(5, 183, 2)];
        script.answer_fork = 3;
        script.session_expires = Some(SESSION_EXPIRES);
        script.refresh_after = Some(Duration::from_secs(u64::from(SESSION_EXPIRES) / 2));
        script
    }

    const fn new(ring_after: Option<Duration>, outcome: Outcome) -> Self {
        Self {
            ring_after,
            early_media: false,
            outcome,
            hold_after: None,
            hang_up_after: None,
            rings: Vec::new(),
            answer_fork: 0,
            session_expires: None,
            refresh_after: None,
            refer: None,
            headers: Vec::new(),
        }
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

    /// The same with one more header line in the final answer.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// Scripts by called number.
#[derive(Clone, Debug)]
pub struct Scripts {
    by_number: Vec<(String, Script)>,
    other: Script,
    chosen: bool,
}

impl Default for Scripts {
    fn default() -> Self {
        Self { by_number: Vec::new(), other: Script::answer(Duration::from_millis(200)), chosen: false }
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
        self.chosen = true;
        self
    }

    /// The same, where nothing was said about numbers without a script of their own.
    #[must_use]
    pub fn or_other(self, script: Script) -> Self {
        if self.chosen { self } else { self.with_other(script) }
    }

    /// The script for a called number.
    pub fn script(&self, number: &str) -> Script {
        self.by_number.iter().find(|(known, _)| known == number).map_or(&self.other, |(_, script)| script).clone()
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
        assert_eq!(scripts.clone().or_other(Script::silence()).script("2"), Script::ring());
        assert_eq!(Scripts::default().or_other(Script::silence()).script("2"), Script::silence());
    }
}
