//! The methods and extensions that a peer knows.

use crate::trunk::TrunkKind;

/// Methods, as a set of those that the edge tells apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MethodSet(u16);

/// All methods that a set can hold, in the order of Allow; those that every peer knows come first.
const METHODS: [&str; 13] = [
    "INVITE",
    "ACK",
    "CANCEL",
    "BYE",
    "OPTIONS",
    "NOTIFY",
    "REFER",
    "INFO",
    "UPDATE",
    "PRACK",
    "MESSAGE",
    "SUBSCRIBE",
    "PUBLISH",
];

/// How many of [`METHODS`] every peer knows: what Teams takes, no less and no more.
const BASIC: usize = 6;

impl MethodSet {
    pub const NONE: Self = Self(0);
    /// What every peer takes.
    pub const BASIC: Self = Self((1 << BASIC) - 1);
    /// All that the edge tells apart.
    pub const ALL: Self = Self((1 << METHODS.len()) - 1);

    /// The methods of a list, such as the values of Allow; what the edge does not tell apart is left out.
    pub fn of<'a>(methods: impl IntoIterator<Item = &'a [u8]>) -> Self {
        methods.into_iter().fold(Self::NONE, |set, method| set.with(method))
    }

    /// The set and one method.
    #[must_use]
    pub fn with(self, method: &[u8]) -> Self {
        index(method).map_or(self, |index| Self(self.0 | 1 << index))
    }

    /// The set without one method.
    #[must_use]
    pub fn without(self, method: &[u8]) -> Self {
        index(method).map_or(self, |index| Self(self.0 & !(1 << index)))
    }

    /// What two sets have in common.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// All of two sets.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether a method is in the set.
    pub fn has(self, method: &[u8]) -> bool {
        index(method).is_some_and(|index| self.0 & 1 << index != 0)
    }

    /// The methods, in the order of Allow.
    pub fn iter(self) -> impl Iterator<Item = &'static str> {
        METHODS.into_iter().enumerate().filter(move |(index, _)| self.0 & 1 << index != 0).map(|(_, method)| method)
    }

    /// Whether the edge tells a method apart, and not every peer knows it: what a configuration may name.
    pub fn is_further(method: &str) -> bool {
        METHODS.iter().skip(BASIC).any(|known| *known == method)
    }
}

/// The place of a method, which is told by its case (RFC 3261 section 7.1).
fn index(method: &[u8]) -> Option<usize> {
    METHODS.iter().position(|known| known.as_bytes() == method)
}

/// The methods and extensions that a peer knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Methods {
    pub known: MethodSet,
    /// The option tags that the peer knows (RFC 3261 section 19.2); `None`: nobody can tell.
    pub extensions: Option<Box<[Box<str>]>>,
}

impl Methods {
    /// The option tags that Teams is known to understand.
    pub const TEAMS_EXTENSIONS: [&'static str; 2] = ["timer", "replaces"];

    /// What is taken for granted of a kind of peer.
    pub fn of_kind(kind: TrunkKind) -> Self {
        match kind {
            TrunkKind::Teams => {
                let extensions = Self::TEAMS_EXTENSIONS.map(Box::from).into();
                Self { known: MethodSet::BASIC, extensions: Some(extensions) }
            }
            TrunkKind::Carrier | TrunkKind::Pbx => Self { known: MethodSet::ALL, extensions: None },
        }
    }

    /// Whether the peer knows an extension, as far as anybody can tell.
    pub fn knows(&self, option: &[u8]) -> bool {
        let known = |tags: &[Box<str>]| tags.iter().any(|tag| tag.as_bytes().eq_ignore_ascii_case(option));
        self.extensions.as_deref().is_none_or(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_written_in_the_order_of_allow_and_methods_are_told_by_case() {
        let set = MethodSet::of([&b"PRACK"[..], b"INVITE", b"X-OWN", b"info", b"BYE"]);
        assert_eq!(set.iter().collect::<Vec<_>>(), ["INVITE", "BYE", "PRACK"]);
        assert!(set.has(b"PRACK") && !set.has(b"INFO") && !set.has(b"X-OWN"));
        assert_eq!(set.without(b"PRACK").and(MethodSet::BASIC), set.and(MethodSet::BASIC));
        assert_eq!(
            MethodSet::BASIC.iter().collect::<Vec<_>>(),
            ["INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "NOTIFY"]
        );
        assert_eq!(MethodSet::BASIC.or(set), MethodSet::BASIC.with(b"PRACK"));
        assert!(MethodSet::is_further("REFER") && !MethodSet::is_further("NOTIFY") && !MethodSet::is_further("refer"));
    }

    #[test]
    fn teams_knows_its_six_methods_and_no_100rel() {
        let teams = Methods::of_kind(TrunkKind::Teams);
        assert!(teams.known.has(b"NOTIFY") && !teams.known.has(b"UPDATE"));
        assert!(teams.knows(b"timer") && teams.knows(b"Replaces") && !teams.knows(b"100rel"));
        assert!(Methods::of_kind(TrunkKind::Pbx).knows(b"100rel"));
    }
}
