//! The transports of RFC 3261 section 18 that the edge speaks.

use std::fmt;

/// A SIP transport protocol, as written in Via and in the `transport` URI parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    Udp,
    Tcp,
    Tls,
}

impl Transport {
    /// Whether the transport delivers or says that it did not (RFC 3261 section 17: timers are skipped).
    pub const fn is_reliable(self) -> bool {
        !matches!(self, Self::Udp)
    }

    /// The port that is meant when a URI or a Via names none (RFC 3261 sections 18.1.1, 19.1.2).
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
        }
    }

    /// The token of a Via's sent-protocol: `UDP`, `TCP`, `TLS`.
    pub const fn via_token(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }

    /// The value of a `transport` URI parameter: `udp`, `tcp`, `tls`.
    pub const fn uri_token(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }

    /// Reads a token in any case; `None` for transports that the edge does not speak.
    pub fn from_token(token: &[u8]) -> Option<Self> {
        if token.eq_ignore_ascii_case(b"udp") {
            Some(Self::Udp)
        } else if token.eq_ignore_ascii_case(b"tcp") {
            Some(Self::Tcp)
        } else if token.eq_ignore_ascii_case(b"tls") {
            Some(Self::Tls)
        } else {
            None
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.uri_token())
    }
}
