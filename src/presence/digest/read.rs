//! Reading a challenge (RFC 7616 section 3.3, RFC 3261 section 25.1).

use super::{Algorithm, Challenge, Quality};

/// Longest text of one parameter: what is sent back must fit into a datagram.
const MAX_TEXT: usize = 512;

/// Reads one challenge.
pub(super) fn challenge(value: &[u8]) -> Option<Challenge> {
    let text = std::str::from_utf8(value).ok()?.trim();
    let (scheme, mut rest) = text.split_once(|letter: char| letter.is_ascii_whitespace())?;
    if !scheme.eq_ignore_ascii_case("Digest") {
        return None;
    }
    let mut read = Parts::default();
    while let Some((name, value, after)) = parameter(rest) {
        read.take(name, value);
        rest = after;
    }
    read.finish()
}

/// The parameters that count.
#[derive(Default)]
struct Parts {
    realm: Option<Box<str>>,
    nonce: Option<Box<str>>,
    opaque: Option<Box<str>>,
    algorithm: Option<Box<str>>,
    quality: Option<Box<str>>,
    stale: bool,
    userhash: bool,
}

impl Parts {
    fn take(&mut self, name: &str, value: Box<str>) {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        let place = match () {
            () if is("realm") => &mut self.realm,
            () if is("nonce") => &mut self.nonce,
            () if is("opaque") => &mut self.opaque,
            () if is("algorithm") => &mut self.algorithm,
            () if is("qop") => &mut self.quality,
            () if is("stale") => return self.stale = value.eq_ignore_ascii_case("true"),
            () if is("userhash") => return self.userhash = value.eq_ignore_ascii_case("true"),
            () => return,
        };
        *place = Some(value);
    }

    fn finish(self) -> Option<Challenge> {
        let Self { realm, nonce, opaque, algorithm: written, quality, stale, userhash } = self;
        let (algorithm, session) = algorithm(written.as_deref().unwrap_or("MD5"))?;
        let texts = [realm.as_deref(), nonce.as_deref(), opaque.as_deref()];
        // What cannot be written back between quotes is no challenge of a SIP server.
        let writable = |text: &str| text.len() <= MAX_TEXT && !text.chars().any(char::is_control);
        if !texts.into_iter().flatten().all(writable) {
            return None;
        }
        Some(Challenge {
            realm: realm?,
            nonce: nonce?,
            opaque,
            algorithm,
            session,
            written,
            quality: match quality.as_deref() {
                Some(offered) => Some(chosen(offered)?),
                None => None,
            },
            stale,
            userhash,
        })
    }
}

fn algorithm(name: &str) -> Option<(Algorithm, bool)> {
    const SESSION: usize = "-sess".len();
    let cut = name.len().saturating_sub(SESSION);
    let (name, session) = match name.split_at_checked(cut) {
        Some((name, end)) if end.eq_ignore_ascii_case("-sess") => (name, true),
        _ => (name, false),
    };
    let known = [("MD5", Algorithm::Md5), ("SHA-256", Algorithm::Sha256), ("SHA-512-256", Algorithm::Sha512With256)];
    let (_, algorithm) = known.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known))?;
    Some((algorithm, session))
}

/// `auth` where it is offered: `auth-int` breaks when something on the way touches the body.
fn chosen(offered: &str) -> Option<Quality> {
    let offers = |quality: Quality| offered.split(',').any(|word| word.trim().eq_ignore_ascii_case(quality.word()));
    [Quality::Auth, Quality::AuthInt].into_iter().find(|&quality| offers(quality))
}

/// The next `name=value`, and what follows it.
fn parameter(text: &str) -> Option<(&str, Box<str>, &str)> {
    let text = text.trim_start_matches(|letter: char| letter == ',' || letter.is_ascii_whitespace());
    let (name, rest) = text.split_once('=')?;
    let rest = rest.trim_start();
    let (value, after) = match rest.strip_prefix('"') {
        Some(rest) => unquoted(rest)?,
        None => {
            let end = rest.find(',').unwrap_or(rest.len());
            let (value, after) = rest.split_at_checked(end)?;
            (value.trim_end().into(), after)
        }
    };
    Some((name.trim(), value, after))
}

/// A quoted text behind its first quote.
fn unquoted(text: &str) -> Option<(Box<str>, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value.into(), text.get(at + 1..)?)),
            '\\' => value.push(letters.next()?.1),
            letter => value.push(letter),
        }
    }
    None
}
