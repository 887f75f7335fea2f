//! Faults of TLS files and settings, and plain words for failed handshakes.

use std::io;
use std::path::PathBuf;

use super::PeerRefused;

/// Why TLS settings cannot be used; each names the file or name and says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    #[error("{path}: cannot be read ({source}); check the path and the rights of the user that runs trunkway", path = path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{path}: larger than {limit} bytes, which is no certificate or key file", path = path.display())]
    TooLarge { path: PathBuf, limit: u64 },
    #[error("{path}: not valid PEM (a section without its END line, or damaged base64); export the file again", path = path.display())]
    Malformed { path: PathBuf },
    #[error("{path}: no certificate in it; expected a section BEGIN CERTIFICATE", path = path.display())]
    NoCertificate { path: PathBuf },
    #[error("{path}: certificate number {number} cannot be read ({reason})", path = path.display())]
    BadCertificate {
        path: PathBuf,
        /// Position in the file, from one.
        number: usize,
        reason: String,
    },
    #[error("{path}: no private key in it; expected a section BEGIN PRIVATE KEY, BEGIN RSA PRIVATE KEY or BEGIN EC PRIVATE KEY", path = path.display())]
    NoKey { path: PathBuf },
    #[error("{path}: the private key is encrypted; store it without passphrase (openssl pkey -in old.key -out new.key) and protect it by file mode 0600", path = path.display())]
    EncryptedKey { path: PathBuf },
    #[error("{path}: a private key of a kind that TLS cannot use here; use RSA of 2048 bits or more, or ECDSA P-256 or P-384", path = path.display())]
    UnusableKey { path: PathBuf },
    #[error("{key}: this key does not belong to the first certificate in {certificate}; the file must begin with the edge's own certificate, intermediates after it", key = key.display(), certificate = certificate.display())]
    KeyMismatch { certificate: PathBuf, key: PathBuf },
    #[error("client certificates are asked for, but no client_ca says who may have issued them")]
    NoClientCa,
    #[error(
        "peer names are listed ({name}), but the listener asks for no client certificate, so they could never be checked"
    )]
    NamesNeverChecked { name: String },
    #[error("{name:?} is neither a host name nor an IP address that a certificate could carry")]
    BadName { name: String },
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// How a handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    Done,
    /// The peer's certificate is missing or not accepted.
    PeerCertificate,
    /// The peer refused the edge, by an alert.
    Refused,
    /// It took too long.
    Timeout,
    /// Anything else: no TLS at all, no common version or cipher, a connection that ended.
    Failed,
}

impl Handshake {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Done, Self::PeerCertificate, Self::Refused, Self::Timeout, Self::Failed];

    /// What a fault makes of it.
    pub fn of(error: &io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
                Self::PeerCertificate
            }
            Some(rustls::Error::AlertReceived(_)) => Self::Refused,
            _ => Self::Failed,
        }
    }

    /// The value of the metric's `result` label.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Done => "ok",
            Self::PeerCertificate => "peer_certificate",
            Self::Refused => "refused_by_peer",
            Self::Timeout => "timeout",
            Self::Failed => "failed",
        }
    }
}

/// Plain words for a failed handshake, taken from the TLS fault inside an I/O error when there is one.
///
/// An alert that the peer sent is explained as the peer's complaint about the edge.
pub fn explain(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(fault) => explain_fault(fault),
        None => error.to_string(),
    }
}

fn explain_fault(fault: &rustls::Error) -> String {
    use rustls::CertificateError::{
        Expired, ExpiredContext, NotValidForNameContext, NotValidYet, NotValidYetContext, Other, UnknownIssuer,
    };
    use rustls::Error::{AlertReceived, InvalidCertificate, NoCertificatesPresented};
    match fault {
        InvalidCertificate(Other(other)) => match other.0.downcast_ref::<PeerRefused>() {
            Some(refused) => refused.to_string(),
            None => fault.to_string(),
        },
        InvalidCertificate(UnknownIssuer) => {
            "the peer's certificate was not issued by a trusted authority (or the peer does not send \
             its intermediates)"
                .to_owned()
        }
        InvalidCertificate(Expired) => "the peer's certificate has expired".to_owned(),
        InvalidCertificate(ExpiredContext { time, not_after }) => {
            let hours = time.as_secs().saturating_sub(not_after.as_secs()) / 3600;
            match hours / 24 {
                0 => format!("the peer's certificate expired {hours} h ago"),
                1 => "the peer's certificate expired yesterday".to_owned(),
                days => format!("the peer's certificate expired {days} days ago"),
            }
        }
        InvalidCertificate(NotValidYet | NotValidYetContext { .. }) => {
            "the peer's certificate is not valid yet; compare the clocks".to_owned()
        }
        InvalidCertificate(NotValidForNameContext { expected, presented }) => format!(
            "the peer's certificate names {}, wanted {}",
            super::verifier::list_of(&super::verifier::plain_names(presented)),
            expected.to_str()
        ),
        NoCertificatesPresented => "the peer shows no client certificate, and this listener requires one".to_owned(),
        AlertReceived(alert) => format!("the peer refused the edge with TLS alert {alert:?}"),
        _ => fault.to_string(),
    }
}
