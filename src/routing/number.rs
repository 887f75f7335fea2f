//! Telephone numbers: one canonical value for every form that Teams, Entra ID, PBXs and people write.
//!
//! What a text means depends on who says it: a [`NumberingPlan`] has the tenant's country, extensions and service
//! numbers. Reading never fails and never guesses: what is no number for the tenant is [`Number::Opaque`]. An
//! [`Interface`] names a way of writing; [`Users`] finds whose number it is.

mod digits;
mod form;
mod interface;
mod plan;
mod read;
mod scan;
mod users;
mod write;

use std::fmt;

pub use digits::Digits;
pub use form::Form;
pub use interface::{Interface, TEAMS_HOST};
pub use plan::{ExtensionRange, MAX_EXTENSION, MAX_RANGES, NumberingPlan, PlanError};
pub use read::{How, Read};
pub use users::{Lookup, UserId, Users};

/// What a user part, an URI or a directory field stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Number {
    /// Reachable from everywhere: ITU-T E.164 digits without the `+`, and the extension behind that line.
    Telephone { e164: Digits, extension: Option<Digits> },
    /// Reachable inside the tenant only.
    Extension(Digits),
    /// A number for help or information; never written with a calling code, never limited.
    Service(Digits),
    /// Anything else, such as `alice@contoso.example`: without scheme, display name and URI parameters.
    Opaque(Box<str>),
}

impl Number {
    /// The number that a text means to a tenant.
    pub fn parse(text: &str, plan: &NumberingPlan) -> Self {
        plan.read(text).number
    }

    /// The digits of the E.164 number, without `+`.
    pub const fn e164(&self) -> Option<Digits> {
        match self {
            Self::Telephone { e164, .. } => Some(*e164),
            _ => None,
        }
    }

    /// The extension, alone or behind an E.164 number.
    pub const fn extension(&self) -> Option<Digits> {
        match self {
            Self::Telephone { extension, .. } => *extension,
            Self::Extension(extension) => Some(*extension),
            Self::Service(_) | Self::Opaque(_) => None,
        }
    }

    /// The same number without its extension, where there is more than that.
    pub fn without_extension(self) -> Self {
        match self {
            Self::Telephone { e164, .. } => Self::Telephone { e164, extension: None },
            other => other,
        }
    }
}

/// The canonical text: `+441632768402;ext=402`, `402`, `911` or what an opaque value holds.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Telephone { e164, extension: None } => write!(f, "+{e164}"),
            Self::Telephone { e164, extension: Some(extension) } => write!(f, "+{e164};ext={extension}"),
            Self::Extension(digits) | Self::Service(digits) => write!(f, "{digits}"),
            Self::Opaque(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests;
