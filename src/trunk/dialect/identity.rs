//! Who calls, and who has diverted the call: what a peer is told of it, and what is believed of it.
//!
//! The words are those of RFC 3323 and RFC 3325: a *trusted* peer is in the trust domain of the edge, and is told who
//! calls even when the caller hides, since it keeps that to itself. Microsoft counts the two ends of a Direct Routing
//! trunk as one trust domain: Teams sends P-Asserted-Identity with `Privacy: id`, and diversions that are private as
//! they are. A customer's PBX is the customer's own. A carrier is trusted where the contract says so (RFC 3325
//! section 2), and therefore by a key only.

use std::sync::Arc;

use crate::trunk::TrunkKind;

/// The longest number that `number` may name.
pub const MAX_NUMBER: usize = 64;

/// How many diversions a call may have behind it by default. Networks of the telephone kind stop at five (Q.732.2);
/// users of PBX and Teams may add some of their own.
pub const MAX_DIVERSIONS: u8 = 10;

/// Who calls, and who has diverted the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Is told who calls although the caller hides (RFC 3325 section 7).
    pub trusted: bool,
    /// What it asserts of callers counts (RFC 3325 section 5); otherwise it is left out.
    pub believed: bool,
    /// What stands in From.
    pub from: From,
    /// P-Asserted-Identity (RFC 3325 section 9.1).
    pub asserted: Told,
    /// P-Preferred-Identity (RFC 3325 section 9.2).
    pub preferred: Told,
    /// Remote-Party-ID, which many peers knew before.
    pub remote_party: Told,
    /// The number of the trunk as the operator of the peer knows it, for policies that name it.
    pub number: Option<Arc<str>>,
    /// How it is told who has diverted the call.
    pub diverted: Diverted,
    /// A call that was diverted more often is refused.
    pub max_diversions: u8,
    /// Whether Referred-By (RFC 3892) passes to it.
    pub referred_by: bool,
    /// Whether Identity (RFC 8224) passes to it.
    pub signatures: bool,
}

/// What stands in From of the requests that begin a dialog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum From {
    /// As it came, in the form of the trunk's numbers.
    #[default]
    Pass,
    /// The number that the other side asserts, where it asserts one.
    Asserted,
    /// The number of the trunk.
    Number,
}

/// What becomes of a header that says who calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Told {
    /// As it came.
    #[default]
    Pass,
    /// As it came, and made of what is known of the caller where there is none.
    Add,
    /// Left out.
    Strip,
    /// The number of the trunk.
    Number,
}

/// The headers by which a peer is told who has diverted a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Diverted {
    /// As they came.
    #[default]
    Pass,
    /// History-Info (RFC 7044).
    HistoryInfo,
    /// Diversion (RFC 5806).
    Diversion,
    Both,
    Strip,
}

impl Diverted {
    /// Whether Diversion is among them.
    pub const fn has_diversion(self) -> bool {
        matches!(self, Self::Diversion | Self::Both | Self::Pass)
    }

    /// Whether History-Info is among them.
    pub const fn has_history(self) -> bool {
        matches!(self, Self::HistoryInfo | Self::Both | Self::Pass)
    }
}

impl Identity {
    /// What is taken for granted of a kind of peer.
    pub fn of_kind(kind: TrunkKind) -> Self {
        let carrier = kind == TrunkKind::Carrier;
        Self {
            trusted: !carrier,
            believed: !carrier,
            from: From::Pass,
            asserted: Told::Pass,
            // A proxy takes it for its own use and does not hand it on (RFC 3325 section 9.2).
            preferred: Told::Strip,
            remote_party: Told::Pass,
            number: None,
            diverted: match kind {
                // Teams knows no Diversion, and carriers mostly nothing else.
                TrunkKind::Teams => Diverted::HistoryInfo,
                TrunkKind::Carrier => Diverted::Diversion,
                TrunkKind::Pbx => Diverted::Pass,
            },
            max_diversions: MAX_DIVERSIONS,
            referred_by: !carrier,
            signatures: true,
        }
    }
}
