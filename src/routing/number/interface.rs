//! The ways in which Teams, Entra ID and PBXs write a number.

use std::fmt;
use std::str::FromStr;

/// Where Teams is reached: the host that stands behind numbers in its SIP URIs.
pub const TEAMS_HOST: &str = "sip.pstnhub.microsoft.com:5061";

/// A way of writing numbers; each belongs to a place where users' numbers are kept or sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interface {
    /// Telephone field of the Entra ID portal: `+441632768402 x402`, `x402`.
    EntraAdmin,
    /// The same as some tenants keep it, without `+`: `441632768402 x402`.
    EntraAdminNoPlus,
    /// Entra ID's field `businessPhones`: `+441632768402;ext=402`, `x402`.
    EntraBusinessPhones,
    /// The line URI of a Teams user: `tel:441632768402;ext=402`, `402`.
    TeamsAdmin,
    /// What a PBX keeps as a user's Teams URI: `+441632768402;ext=402`, `+402`.
    PbxTeamsUri,
    /// A PBX's directory entry: `441632768402-402`, `+402`.
    PbxDirectory,
    /// What a Teams client shows: `(1632) 768 402 extn 402`, `+402`.
    TeamsClient,
    /// Between the edge and Teams: `sip:+441632768402;ext=402@sip.pstnhub.microsoft.com:5061`.
    SipUri,
}

impl Interface {
    pub const ALL: [Self; 8] = [
        Self::EntraAdmin,
        Self::EntraAdminNoPlus,
        Self::EntraBusinessPhones,
        Self::TeamsAdmin,
        Self::PbxTeamsUri,
        Self::PbxDirectory,
        Self::TeamsClient,
        Self::SipUri,
    ];

    /// The name in configurations and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EntraAdmin => "entra-admin",
            Self::EntraAdminNoPlus => "entra-admin-no-plus",
            Self::EntraBusinessPhones => "entra-business-phones",
            Self::TeamsAdmin => "teams-admin",
            Self::PbxTeamsUri => "pbx-teams-uri",
            Self::PbxDirectory => "pbx-directory",
            Self::TeamsClient => "teams-client",
            Self::SipUri => "sip-uri",
        }
    }

    /// Whether digits without `+` are a whole E.164 number here.
    pub(super) const fn omits_plus(self) -> bool {
        matches!(self, Self::EntraAdminNoPlus | Self::TeamsAdmin | Self::PbxDirectory)
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// There is no interface of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not one of the interfaces that numbers are written for")]
pub struct UnknownInterface;

impl FromStr for Interface {
    type Err = UnknownInterface;

    fn from_str(name: &str) -> Result<Self, UnknownInterface> {
        Self::ALL.into_iter().find(|interface| interface.name() == name).ok_or(UnknownInterface)
    }
}
