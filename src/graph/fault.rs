//! What can be wrong between the edge and Graph, told apart by what is to be done about it.

use std::time::Duration;

use super::settings::ProofFault;

/// Why a request came to nothing. No text has a secret or a token in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// 429: too much was asked.
    #[error("Graph wants to be asked less{}", .retry_after.map(|after| format!(", again in {:.1} s", after.as_secs_f64())).unwrap_or_default())]
    Throttled { retry_after: Option<Duration> },
    /// There is no token that would do.
    #[error("{0}")]
    Token(#[from] TokenFault),
    /// 404.
    #[error("Graph does not know what was asked for: {0}")]
    NotFound(Refusal),
    /// 410, or 400 with a state that is known no more: a delta link is too old (B7).
    #[error("the link to what has changed is too old: {0}")]
    Gone(Refusal),
    /// Another 4xx.
    #[error("Graph refuses: {0}")]
    Refused(Refusal),
    /// 5xx.
    #[error("Graph has failed: {refusal}")]
    Server { refusal: Refusal, retry_after: Option<Duration> },
    /// No connection, or one that ended.
    #[error("Graph cannot be reached: {0}")]
    Network(String),
    #[error("Graph has not answered in time")]
    Timeout,
    /// 2xx, yet not what such an answer looks like.
    #[error("Graph's answer cannot be read: {0}")]
    Malformed(String),
    /// The client could not be made.
    #[error("{0}")]
    Setup(String),
}

/// What Graph says of a request that it does not take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    /// `error.code`; empty when there was none.
    pub code: Box<str>,
    /// `error.message`, one line of bounded length.
    pub text: Box<str>,
    /// What Microsoft's support asks for.
    pub request_id: Option<Box<str>>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.status)?;
        if !self.code.is_empty() {
            write!(f, " {}", self.code)?;
        }
        if !self.text.is_empty() {
            write!(f, ", \"{}\"", self.text)?;
        }
        if let Some(id) = &self.request_id {
            write!(f, " (request-id {id})")?;
        }
        Ok(())
    }
}

/// What a token is to allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Permission {
    WritePresence,
    ReadPresence,
    ReadUsers,
    ReadGroups,
    ReadNumbers,
    ReadTeamsUsers,
    /// Delegated (B4).
    Subscribe,
}

impl Permission {
    /// The permissions in Entra of which one suffices; the first is the one to ask for.
    pub const fn roles(self) -> &'static [&'static str] {
        match self {
            Self::WritePresence => &["Presence.ReadWrite.All"],
            Self::ReadPresence => &["Presence.ReadWrite.All", "Presence.Read.All"],
            Self::ReadUsers => &[
                "User.Read.All",
                "User.ReadBasic.All",
                "User.ReadWrite.All",
                "Directory.Read.All",
                "Directory.ReadWrite.All",
            ],
            Self::ReadGroups => &[
                "GroupMember.Read.All",
                "GroupMember.ReadWrite.All",
                "Group.Read.All",
                "Group.ReadWrite.All",
                "Directory.Read.All",
                "Directory.ReadWrite.All",
            ],
            Self::ReadNumbers => &["TeamsTelephoneNumber.Read.All", "TeamsTelephoneNumber.ReadWrite.All"],
            Self::ReadTeamsUsers => &["TeamsUserConfiguration.Read.All"],
            Self::Subscribe => &["Presence.Read.All"],
        }
    }

    /// The permission to ask an administrator for.
    pub const fn role(self) -> &'static str {
        match self.roles() {
            [first, ..] => first,
            [] => "",
        }
    }

    /// Whether the application has it by itself; otherwise a signed-in account has it.
    pub const fn is_of_application(self) -> bool {
        !matches!(self, Self::Subscribe)
    }
}

/// Why there is no token, or none that would do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenFault {
    /// AADSTS7000215.
    #[error("Entra refuses the client secret: it is wrong (AADSTS7000215)")]
    WrongSecret,
    /// AADSTS7000222.
    #[error("the client secret has expired (AADSTS7000222)")]
    ExpiredSecret,
    /// AADSTS700027 and its kin.
    #[error("Entra does not take the certificate: {0}")]
    WrongCertificate(Box<str>),
    /// AADSTS700016.
    #[error("there is no application with this client id in the directory (AADSTS700016)")]
    UnknownApplication,
    /// AADSTS7000112.
    #[error("the application is disabled in the directory (AADSTS7000112)")]
    DisabledApplication,
    /// AADSTS90002, AADSTS900023.
    #[error("there is no such directory (AADSTS90002)")]
    UnknownDirectory,
    /// AADSTS65001.
    #[error("an administrator has not consented to the application's permissions (AADSTS65001)")]
    MissingConsent,
    /// 401 or 403 of Graph, for a token without the role.
    #[error("the token lacks the permission {}", .0.role())]
    MissingPermission(Permission),
    /// 401 of Graph for a token that was just issued.
    #[error("Graph refuses a token that was just issued: {0}")]
    Rejected(Refusal),
    /// The refresh token of the service account has ended or was withdrawn.
    #[error("the service account has to sign in again: {0}")]
    SignInAgain(Box<str>),
    /// AADSTS700024.
    #[error("Entra finds the times of the assertion wrong: the clock of this machine is off (AADSTS700024)")]
    Clock,
    /// What the application proves itself with cannot be read.
    #[error("{0}")]
    Proof(#[from] ProofFault),
    /// Another answer of Entra.
    #[error("Entra refuses a token: {code}, \"{text}\"")]
    Other { code: Box<str>, text: Box<str> },
    /// 429 or 5xx.
    #[error("Entra is busy ({status})")]
    Busy { status: u16, retry_after: Option<Duration> },
    #[error("Entra cannot be reached: {0}")]
    Network(Box<str>),
    #[error("no trust in the certificate of Entra's server: {0}")]
    Tls(Box<str>),
    #[error("Entra has not answered in time")]
    Timeout,
    #[error("Entra's answer cannot be read: {0}")]
    Malformed(Box<str>),
}

impl TokenFault {
    /// Whether it lasts until somebody does something.
    pub const fn needs_person(&self) -> bool {
        !matches!(self, Self::Busy { .. } | Self::Network(_) | Self::Tls(_) | Self::Timeout | Self::Malformed(_))
    }

    /// What to do.
    pub fn advice(&self) -> String {
        match self {
            Self::WrongSecret => "put the secret's value, not its id, into the file of `secret_file`; Entra shows the \
                                  value once, when the secret is made"
                .to_owned(),
            Self::ExpiredSecret => "make a new client secret for the application in Entra and put its value into the \
                                    file of `secret_file`; it is read again when the file changes"
                .to_owned(),
            Self::WrongCertificate(_) => "upload the certificate of `certificate` to the application in Entra, and make \
                                          sure that `key` belongs to it"
                .to_owned(),
            Self::UnknownApplication => {
                "compare `client` with the application's client id in Entra, and `directory` with its directory id".to_owned()
            }
            Self::DisabledApplication => "enable sign-in for the enterprise application in Entra".to_owned(),
            Self::UnknownDirectory => "compare `directory` with the directory (tenant) id in Entra".to_owned(),
            Self::MissingConsent => "grant admin consent on the application's API permissions in Entra".to_owned(),
            Self::MissingPermission(permission) => {
                let kind = if permission.is_of_application() { "application" } else { "delegated" };
                format!(
                    "add the {kind} permission {} of Microsoft Graph to the application in Entra, and grant admin consent",
                    permission.role()
                )
            }
            Self::Rejected(_) => {
                "see whether `cloud`, `login_url` and `graph_url` belong together, and whether Conditional Access blocks \
                 the application"
                    .to_owned()
            }
            Self::SignInAgain(_) => {
                "sign the service account in again and put the new refresh token into `refresh_token_file`".to_owned()
            }
            Self::Clock => "set this machine's clock, by NTP".to_owned(),
            Self::Proof(_) => "put the file in its place, and let the edge's user read it".to_owned(),
            Self::Other { .. } => "look the code up in Microsoft's list of AADSTS codes".to_owned(),
            Self::Busy { .. } => "wait: the edge asks again by itself".to_owned(),
            Self::Network(_) | Self::Timeout => {
                "look at names, routes, firewalls and the proxy between here and the host of `login_url`".to_owned()
            }
            Self::Tls(_) => {
                "look for a proxy that opens TLS: put its authority into the file of `ca`, or the system's roots".to_owned()
            }
            Self::Malformed(_) => "see whether a proxy answers in place of Entra".to_owned(),
        }
    }
}
