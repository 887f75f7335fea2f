//! TLS 1.2 and 1.3 for listeners and for hops that the edge dials (RFC 3261 section 26.3.1, RFC 5922).
//!
//! The certificate that a listener shows, the certificate that the edge shows when it dials, and the
//! authorities that are trusted on either side are set apart from each other. System roots are never
//! trusted silently. Who a peer is comes from its verified certificate: [`ServerTls::trunks_of`].
//!
//! Sessions are not resumed where certificates prove identities: a resumed handshake shows no
//! certificate, so that a renewed, expired or no longer trusted one would go unnoticed, while a SIP
//! connection lives for hours and is worth its few signatures. No session is kept in memory either; an
//! idle connection was measured at 9 KiB. A listener that asks for no client certificate hands out one
//! stateless ticket, which costs the edge no memory.

pub mod certificate;
mod client;
mod credentials;
mod der;
mod error;
mod key_log;
pub mod pem;
mod server;
mod settings;
pub mod stream;
mod verifier;

pub use client::{ClientTls, server_name};
pub use credentials::{Credentials, Shown};
pub use error::{Handshake, TlsError, explain};
pub use key_log::KeyLog;
pub use server::ServerTls;
pub use settings::{ClientCertificate, ClientSettings, PeerRule, ServerSettings};
pub use verifier::PeerRefused;

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};

/// The one crypto provider of the process: aws-lc-rs.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
