//! What a client of Graph is made with, and what it tells while it works.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Where Graph is, and how long to wait for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The tenant of the edge, for texts.
    pub tenant: Arc<str>,
    /// The directory (tenant) id in Entra, or a verified domain.
    pub directory: Arc<str>,
    /// The application's client id, which is also the session id of presence (B2).
    pub client: Arc<str>,
    /// `https://login.microsoftonline.com`, without a slash at its end.
    pub login: Arc<str>,
    /// `https://graph.microsoft.com`, without a slash at its end.
    pub base: Arc<str>,
    /// PEM: the roots that both may lead to; `None`: those of the system.
    pub ca: Option<PathBuf>,
    /// How long one request may take, from the connection to the end of the answer.
    pub timeout: Duration,
    /// Requests under way at once; more wait.
    pub max_requests: usize,
    /// When the client secret ends, in seconds since 1970, where the operator has written it down.
    pub secret_ends: Option<i64>,
}

/// A text that is shown to nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Keeps a secret; blanks around it, such as the line break at the end of a file, do not count.
    pub fn new(text: &str) -> Self {
        Self(text.trim().into())
    }

    /// The secret itself, for the request that carries it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// A certificate with its key, that signs assertions.
#[derive(Clone)]
pub struct ClientCertificate {
    /// The certificate in DER form.
    pub der: Vec<u8>,
    /// The RSA key in DER form, PKCS #8 or PKCS #1.
    pub key: Vec<u8>,
    /// RS256 with `x5t` instead of PS256 with `x5t#S256`.
    pub legacy: bool,
    /// When the certificate ends, in seconds since 1970.
    pub ends: i64,
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate")
            .field("legacy", &self.legacy)
            .field("ends", &self.ends)
            .finish_non_exhaustive()
    }
}

/// What the application proves itself with.
#[derive(Clone, Debug)]
pub enum Proof {
    Secret(Secret),
    Certificate(ClientCertificate),
}

impl Proof {
    /// The client secret, where it is one.
    pub const fn secret(&self) -> Option<&Secret> {
        match self {
            Self::Secret(secret) => Some(secret),
            Self::Certificate(_) => None,
        }
    }
}

/// Why there is nothing to prove with; the text names the file, and has nothing of what is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ProofFault(pub String);

/// Gives what the application proves itself with, as it is at that moment. It is asked beside the runtime, since it may
/// read files.
pub trait Prove: Send + Sync {
    /// The proof.
    ///
    /// # Errors
    /// [`ProofFault`] when a file cannot be read or holds no such thing.
    fn proof(&self) -> Result<Proof, ProofFault>;

    /// A number that changes when the files do, so that what was repaired is tried at once.
    fn stamp(&self) -> u64;

    /// The refresh token of an account in whose name tokens are asked for; `None`: the application acts for itself.
    ///
    /// # Errors
    /// [`ProofFault`] when its file cannot be read.
    fn refresh_token(&self) -> Result<Option<Secret>, ProofFault> {
        Ok(None)
    }

    /// Entra has given a new refresh token, which is to be used from now on.
    fn keep_refresh_token(&self, _: &Secret) {}
}

/// A kind of request, as metrics name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    Token,
    SetPresence,
    ClearPresence,
    PreferredPresence,
    Batch,
    Presences,
    Users,
    Groups,
    Numbers,
    Subscriptions,
    Keys,
}

impl Call {
    /// All kinds.
    pub const ALL: [Self; 11] = [
        Self::Token,
        Self::SetPresence,
        Self::ClearPresence,
        Self::PreferredPresence,
        Self::Batch,
        Self::Presences,
        Self::Users,
        Self::Groups,
        Self::Numbers,
        Self::Subscriptions,
        Self::Keys,
    ];

    /// As metrics name it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::SetPresence => "set-presence",
            Self::ClearPresence => "clear-presence",
            Self::PreferredPresence => "preferred-presence",
            Self::Batch => "batch",
            Self::Presences => "presences",
            Self::Users => "users",
            Self::Groups => "groups",
            Self::Numbers => "numbers",
            Self::Subscriptions => "subscriptions",
            Self::Keys => "keys",
        }
    }
}

/// What came of a request, as metrics name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    Ok,
    Throttled,
    Unauthorized,
    NotFound,
    Refused,
    Server,
    Network,
    Timeout,
}

impl Outcome {
    /// All outcomes.
    pub const ALL: [Self; 8] = [
        Self::Ok,
        Self::Throttled,
        Self::Unauthorized,
        Self::NotFound,
        Self::Refused,
        Self::Server,
        Self::Network,
        Self::Timeout,
    ];

    /// As metrics name it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Throttled => "throttled",
            Self::Unauthorized => "unauthorized",
            Self::NotFound => "not-found",
            Self::Refused => "refused",
            Self::Server => "server",
            Self::Network => "network",
            Self::Timeout => "timeout",
        }
    }

    /// By the status of an answer (RFC 9110 section 15).
    pub const fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Ok,
            401 | 403 => Self::Unauthorized,
            404 => Self::NotFound,
            429 => Self::Throttled,
            500..=599 => Self::Server,
            _ => Self::Refused,
        }
    }
}

/// Hears of every request that was made.
pub trait Observer: Send + Sync {
    /// A request is over, after so long.
    fn done(&self, call: Call, outcome: Outcome, took: Duration);
}

/// Nobody hears.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn done(&self, _: Call, _: Outcome, _: Duration) {}
}
