//! Microsoft's rules for an SBC, as its documentation and published traces tell them; pure judgement, no sockets.
//!
//! Every rule has a name and a section: `A4` and the like are those of the project's facts sheet on Direct Routing.

mod requests;
mod responses;
mod tenants;

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

pub use requests::{Place, judge_request};
pub use responses::judge_response;
pub use tenants::{Tenant, TenantError, Tenants};

/// How a stand-in for Teams behaves and judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Profile {
    /// Refuses an address in place of a name and an INVITE without offer, and little else: fit for an edge that is transparent.
    #[default]
    Lenient,
    /// Judges by every [`Rule`], knows its tenants, and holds back its OPTIONS until it has seen those of the SBC.
    Strict,
    /// As strict, and as awkward as the traces of 2020: answers calls by [`Script::trace_2020`](super::Script::trace_2020).
    Trace2020,
}

impl Profile {
    /// All of them, by name.
    pub const ALL: [Self; 3] = [Self::Lenient, Self::Strict, Self::Trace2020];

    /// The name in options and texts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lenient => "lenient",
            Self::Strict => "strict",
            Self::Trace2020 => "trace-2020",
        }
    }

    /// Whether every rule is applied.
    pub const fn judges(self) -> bool {
        !matches!(self, Self::Lenient)
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Text that names no [`Profile`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is none of lenient, strict, trace-2020")]
pub struct ProfileError(String);

impl FromStr for Profile {
    type Err = ProfileError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|profile| profile.name() == text).ok_or_else(|| ProfileError(text.into()))
    }
}

macro_rules! rules {
    ($($(#[$doc:meta])* $variant:ident $name:literal $section:literal,)+) => {
        /// What Microsoft asks of an SBC, by name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Rule {
            $($(#[$doc])* $variant,)+
        }

        impl Rule {
            /// Every rule.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name in complaints.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The section of the facts sheet.
            pub const fn section(self) -> &'static str {
                match self { $(Self::$variant => $section,)+ }
            }
        }
    };
}

rules! {
    /// INVITE, OPTIONS and their 2xx say what the SBC can do, NOTIFY at least beside the basic methods.
    Allow "allow" "A5",
    /// What Allow names is not refused with 405 or 501.
    AllowTruth "allow-truth" "A10",
    /// A 18x or a final answer comes before Teams goes to the next trunk.
    AnswerTime "answer-time" "A8",
    /// The host of Contact and Record-Route stands in the certificate of the connection.
    CertificateName "certificate-name" "A4",
    /// A connection that got 503 with Retry-After is dropped.
    ConnectionAfter503 "connection-after-503" "A8",
    /// Contact has a name, no IP address.
    ContactAddress "contact-address" "A3",
    /// Contact is a SIP URI, whose user part is not empty before an `@`.
    ContactForm "contact-form" "A3",
    /// INVITE, OPTIONS, NOTIFY and their 18x and 2xx have a Contact.
    ContactMissing "contact-missing" "A3",
    /// Contact has the name of the tenant whose call it is, in answers and later requests too.
    ContactTenant "contact-tenant" "A4",
    /// The called number is written with `+`.
    E164 "e164" "A5",
    /// The SBC does not hang up a call that is being transferred.
    EarlyBye "early-bye" "A10",
    /// The name has at most 63 characters.
    FqdnLength "fqdn-length" "A1",
    /// From has the host of the tenant.
    FromHost "from-host" "A5",
    /// Hold is `a=inactive` and nothing else.
    HoldDirection "hold-direction" "A7",
    /// The first INVITE is not on hold.
    HoldInFirstInvite "hold-in-first-invite" "A5",
    /// The called number is a number.
    MalformedCallee "malformed-callee" "A12",
    /// Only the methods that Teams names in its Allow.
    Method "method" "A6",
    /// Every INVITE has an SDP.
    NoOffer "no-offer" "A5",
    /// REFER is followed by NOTIFY with 100, 18x and the final status (RFC 3515).
    Notify "notify" "A10",
    /// No Record-Route at all, where no proxy for local media optimisation stands between.
    RecordRoute "record-route" "A4",
    /// Record-Route has a name, no IP address.
    RecordRouteAddress "record-route-address" "A4",
    /// Record-Route has the same host as Contact.
    RecordRouteHost "record-route-host" "A4",
    /// REFER is accepted with 202.
    ReferAnswer "refer-answer" "A10",
    /// The INVITE that a REFER asked for goes to the URI of Refer-To, byte for byte.
    ReferToVerbatim "refer-to-verbatim" "A10",
    /// It has the Referred-By of the REFER, byte for byte.
    ReferredByVerbatim "referred-by-verbatim" "A10",
    /// No 100rel towards Teams.
    ReliableProvisional "reliable-provisional" "A7",
    /// No Replaces towards Teams.
    Replaces "replaces" "A5",
    /// TLS connections name the host that was dialled.
    ServerName "server-name" "A2",
    /// No `sips:`.
    SipsUri "sips-uri" "A3",
    /// The number belongs to a user of the tenant.
    UnknownCallee "unknown-callee" "A12",
    /// The name in Contact belongs to a tenant.
    UnknownTenant "unknown-tenant" "A4",
    /// The called number is marked `user=phone`.
    UserPhone "user-phone" "A5",
    /// The SBC names its product.
    XMsSbc "x-ms-sbc" "A16",
}

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub rule: Rule,
    /// Plain words, without rule and section.
    pub text: String,
}

impl Fault {
    /// A broken rule with what was seen.
    pub fn new(rule: Rule, text: impl Into<String>) -> Self {
        Self { rule, text: text.into() }
    }
}

impl fmt::Display for Fault {
    /// The words with name and section.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (Direct Routing {})", self.rule.name(), self.text, self.rule.section())
    }
}

/// How Teams refuses a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: u16,
    pub reason: &'static str,
    /// Microsoft's own number for it, where one is known.
    pub sub_code: Option<u32>,
    /// The Q.850 cause in Reason.
    pub cause: u8,
    /// The words in Reason.
    pub text: String,
}

impl Refusal {
    fn new(code: u16, reason: &'static str, sub_code: Option<u32>, cause: u8, text: impl Into<String>) -> Self {
        Self { code, reason, sub_code, cause, text: text.into() }
    }

    fn forbidden(sub_code: Option<u32>, text: impl Into<String>) -> Self {
        Self::new(403, "Forbidden", sub_code, 63, text)
    }
}

/// What is wrong with a request, and how Teams answers it if not as wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub faults: Vec<Fault>,
    pub refusal: Option<Refusal>,
}

impl Verdict {
    fn note(&mut self, rule: Rule, text: impl Into<String>) {
        self.faults.push(Fault::new(rule, text));
    }

    /// Notes a fault that ends the request; the first refusal stays.
    fn refuse(&mut self, rule: Rule, text: impl Into<String>, refusal: Refusal) {
        self.note(rule, text);
        self.refusal.get_or_insert(refusal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_read_by_the_names_that_they_print() {
        for profile in Profile::ALL {
            assert_eq!(profile.to_string().parse(), Ok(profile));
        }
        assert!("Strict".parse::<Profile>().is_err());
    }

    #[test]
    fn rules_have_names_of_their_own() {
        let mut names: Vec<&str> = Rule::ALL.iter().map(|rule| rule.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Rule::ALL.len());
    }
}
