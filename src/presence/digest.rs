//! Digest authentication as a client (RFC 3261 section 22, RFC 7616, RFC 8760).
//!
//! A [`Challenge`] is read from one header line; [`Challenge::strongest`] chooses where a server gives several;
//! [`Challenge::authorization`] writes what goes back. Nothing here keeps state: nonce counts are the caller's.

mod hash;
mod read;

use std::fmt;
use std::sync::Arc;

use self::hash::{Hash, hex};

/// Who the edge is towards a peer that challenges it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    username: Arc<str>,
    password: Arc<str>,
}

impl Credentials {
    /// A name and its password.
    pub fn new(username: impl Into<Arc<str>>, password: impl Into<Arc<str>>) -> Self {
        Self { username: username.into(), password: password.into() }
    }

    /// The name, which is no secret.
    pub fn username(&self) -> &str {
        &self.username
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// A hash that a server asks for; the order is that of strength (RFC 8760 section 2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    Md5,
    Sha256,
    Sha512With256,
}

/// What the digest covers (RFC 7616 section 3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    /// The method and the URI.
    Auth,
    /// The body as well.
    AuthInt,
}

impl Quality {
    const fn word(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::AuthInt => "auth-int",
        }
    }
}

/// What a server asks for (RFC 7616 section 3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    pub realm: Box<str>,
    pub nonce: Box<str>,
    pub opaque: Option<Box<str>>,
    pub algorithm: Algorithm,
    /// The algorithm's name had `-sess` behind it.
    pub session: bool,
    /// The name as the server wrote it; `None`: it named none, which means MD5.
    written: Option<Box<str>>,
    /// `None`: the server is one of RFC 2069 and knows no `qop`.
    pub quality: Option<Quality>,
    /// The answer was right, but its nonce is too old.
    pub stale: bool,
    /// The name is to be sent hashed.
    pub userhash: bool,
}

/// What is proved.
#[derive(Clone, Copy, Debug)]
pub struct Proof<'a> {
    pub method: &'a str,
    /// As in the request line.
    pub uri: &'a str,
    pub body: &'a [u8],
    /// How often the nonce was used, this time included.
    pub count: u32,
    /// A random text of the client's own.
    pub cnonce: &'a str,
}

impl Challenge {
    /// Reads one challenge, the value of a WWW-Authenticate or Proxy-Authenticate line. `None`: it is no digest, or of
    /// an algorithm or quality that the edge does not know (RFC 3261 section 22.4: such a one is passed over).
    pub fn read(value: &[u8]) -> Option<Self> {
        read::challenge(value)
    }

    /// The strongest of several; the first of equals (RFC 8760 section 2.4).
    pub fn strongest<'v>(values: impl Iterator<Item = &'v [u8]>) -> Option<Self> {
        values.filter_map(Self::read).reduce(|best, other| if other.algorithm > best.algorithm { other } else { best })
    }

    /// Whether a nonce may be used for more than one request.
    pub const fn counts(&self) -> bool {
        self.quality.is_some()
    }

    /// The value of the Authorization or Proxy-Authorization header that answers it.
    pub fn authorization(&self, credentials: &Credentials, proof: &Proof<'_>) -> String {
        let hash = Hash(self.algorithm);
        let response = self.response(credentials, proof);
        let username = match self.userhash {
            true => hex(&hash.of(&[credentials.username.as_bytes(), self.realm.as_bytes()])),
            false => quoted(&credentials.username),
        };
        let mut out = format!(
            "Digest username=\"{username}\", realm=\"{}\", nonce=\"{}\", uri=\"{}\", response=\"{response}\"",
            quoted(&self.realm),
            quoted(&self.nonce),
            quoted(proof.uri),
        );
        let mut put = |text: String| out.push_str(&text);
        if let Some(algorithm) = &self.written {
            put(format!(", algorithm={algorithm}"));
        }
        if let Some(opaque) = &self.opaque {
            put(format!(", opaque=\"{}\"", quoted(opaque)));
        }
        match self.quality {
            Some(quality) => {
                put(format!(", qop={}, nc={:08x}, cnonce=\"{}\"", quality.word(), proof.count, quoted(proof.cnonce)))
            }
            None if self.session => put(format!(", cnonce=\"{}\"", quoted(proof.cnonce))),
            None => {}
        }
        if self.userhash {
            put(", userhash=true".to_owned());
        }
        out
    }

    /// RFC 7616 section 3.4.1.
    fn response(&self, credentials: &Credentials, proof: &Proof<'_>) -> String {
        let hash = Hash(self.algorithm);
        let (realm, nonce) = (self.realm.as_bytes(), self.nonce.as_bytes());
        let cnonce = proof.cnonce.as_bytes();
        let mut secret = hex(&hash.of(&[credentials.username.as_bytes(), realm, credentials.password.as_bytes()]));
        if self.session {
            secret = hex(&hash.of(&[secret.as_bytes(), nonce, cnonce]));
        }
        let (method, uri) = (proof.method.as_bytes(), proof.uri.as_bytes());
        let what = hex(&match self.quality {
            Some(Quality::AuthInt) => hash.of(&[method, uri, hex(&hash.of(&[proof.body])).as_bytes()]),
            Some(Quality::Auth) | None => hash.of(&[method, uri]),
        });
        let all = match self.quality {
            Some(quality) => {
                let count = format!("{:08x}", proof.count);
                let parts = [secret.as_bytes(), nonce, count.as_bytes(), cnonce];
                hash.of(&[&parts[..], &[quality.word().as_bytes(), what.as_bytes()]].concat())
            }
            None => hash.of(&[secret.as_bytes(), nonce, what.as_bytes()]),
        };
        hex(&all)
    }
}

/// A text for between quotes (RFC 3261 section 25.1, `quoted-pair`).
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if matches!(letter, '"' | '\\') {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

#[cfg(test)]
mod tests;
