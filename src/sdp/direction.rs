//! Which ways media flow (RFC 3264 section 5.1), as the sender of a description sees it.

/// Which ways a stream's media flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Direction {
    Inactive = 0,
    SendOnly = 1,
    RecvOnly = 2,
    /// What a description without a word on it means.
    #[default]
    SendRecv = 3,
}

impl Direction {
    /// All directions.
    pub const ALL: [Self; 4] = [Self::Inactive, Self::SendOnly, Self::RecvOnly, Self::SendRecv];

    /// The direction of one that may send and receive.
    pub const fn new(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (false, false) => Self::Inactive,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (true, true) => Self::SendRecv,
        }
    }

    /// The direction that an attribute names.
    pub fn named(attribute: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|it| attribute.eq_ignore_ascii_case(it.name().as_bytes()))
    }

    /// The attribute, without `a=`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::SendRecv => "sendrecv",
        }
    }

    /// Whether the describer sends.
    pub const fn sends(self) -> bool {
        self as u8 & 1 != 0
    }

    /// Whether the describer takes what is sent to it.
    pub const fn receives(self) -> bool {
        self as u8 & 2 != 0
    }

    /// The same streams as the other side sees them.
    #[must_use]
    pub const fn turned(self) -> Self {
        Self::new(self.receives(), self.sends())
    }

    /// What of it an answer to `offer` may say (RFC 3264 section 6.1).
    #[must_use]
    pub const fn within(self, offer: Self) -> Self {
        Self::new(self.sends() && offer.receives(), self.receives() && offer.sends())
    }

    /// The direction whose bits these are.
    pub(super) const fn of_bits(bits: u8) -> Self {
        Self::new(bits & 1 != 0, bits & 2 != 0)
    }
}
