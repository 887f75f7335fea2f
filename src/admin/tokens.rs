//! Who may come in by TCP: tokens, of which only hashes are in memory, and the patience with those who guess.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};

use super::access::{Caller, Scope};

/// The shortest secret, in characters.
pub const MIN_SECRET: usize = 32;

/// The longest one, in bytes.
const MAX_SECRET: usize = 4_096;

/// How long the answer to the first wrong token of an address is held back; each further one doubles it.
const FIRST_DELAY: Duration = Duration::from_millis(250);

/// The longest that an answer is held back.
const MAX_DELAY: Duration = Duration::from_secs(8);

/// After so long without a wrong token an address begins anew.
const FORGIVEN: Duration = Duration::from_secs(600);

/// Why a secret is none. The secret itself is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretFault {
    #[error("the secret has fewer than {MIN_SECRET} characters: make one with `openssl rand -hex 32`")]
    TooShort,
    #[error("the secret has more than {MAX_SECRET} bytes")]
    TooLong,
    #[error("the secret has blanks, line breaks or other signs that no header can carry")]
    NotPlain,
}

/// Someone who may come in, known by the hash of a secret.
#[derive(Clone)]
pub struct Token {
    hash: [u8; SHA256_OUTPUT_LEN],
    caller: Caller,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("caller", &self.caller).finish_non_exhaustive()
    }
}

impl Token {
    /// A token of that secret; blanks around it, such as the line break at the end of a file, do not count.
    ///
    /// # Errors
    /// [`SecretFault`] when the secret is easily guessed, or can stand in no header.
    pub fn new(
        name: Arc<str>,
        secret: &str,
        scope: Scope,
        tenants: Option<Arc<[Arc<str>]>>,
    ) -> Result<Self, SecretFault> {
        let secret = secret.trim();
        if secret.len() > MAX_SECRET {
            return Err(SecretFault::TooLong);
        }
        if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SecretFault::NotPlain);
        }
        if secret.len() < MIN_SECRET {
            return Err(SecretFault::TooShort);
        }
        Ok(Self { hash: hash(secret), caller: Caller::token(name, scope, tenants) })
    }
}

/// All who may come in.
#[derive(Clone, Debug, Default)]
pub struct Tokens(pub Vec<Token>);

impl Tokens {
    /// Whose secret this is. Takes as long whichever token fits, and whether one does.
    pub(super) fn caller(&self, secret: &str) -> Option<Caller> {
        let shown = hash(secret);
        let mut found = None;
        for token in &self.0 {
            if verify_slices_are_equal(&token.hash, &shown).is_ok() {
                found = Some(&token.caller);
            }
        }
        found.cloned()
    }
}

fn hash(secret: &str) -> [u8; SHA256_OUTPUT_LEN] {
    let mut out = [0; SHA256_OUTPUT_LEN];
    out.copy_from_slice(digest(&SHA256, secret.as_bytes()).as_ref());
    out
}

/// Addresses that have shown wrong tokens of late.
#[derive(Debug)]
pub(super) struct Guesses {
    max: usize,
    seen: Mutex<HashMap<IpAddr, Guess>>,
}

#[derive(Clone, Copy, Debug)]
struct Guess {
    count: u32,
    last: Instant,
}

impl Guesses {
    /// Remembers so many addresses.
    pub(super) fn new(max: usize) -> Self {
        Self { max, seen: Mutex::default() }
    }

    /// Takes the news of a wrong token; gives how long the answer is to be held back.
    pub(super) fn wrong(&self, from: IpAddr, now: Instant) -> Duration {
        let from = home(from);
        // What is half done when a thread panics is one count.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= self.max && !seen.contains_key(&from) {
            seen.retain(|_, guess| now.saturating_duration_since(guess.last) < FORGIVEN);
            if seen.len() >= self.max {
                let oldest = seen.iter().min_by_key(|(_, guess)| guess.last).map(|(from, _)| *from);
                oldest.and_then(|oldest| seen.remove(&oldest));
            }
        }
        let guess = seen.entry(from).or_insert(Guess { count: 0, last: now });
        if now.saturating_duration_since(guess.last) >= FORGIVEN {
            guess.count = 0;
        }
        *guess = Guess { count: guess.count.saturating_add(1), last: now };
        FIRST_DELAY.saturating_mul(1 << (guess.count - 1).min(16)).min(MAX_DELAY)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

/// What one party has of addresses: one of IPv4, a /64 of IPv6.
pub(super) fn home(addr: IpAddr) -> IpAddr {
    match addr.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn secret_is_long_and_plain_and_shows_nowhere() {
        let token = |secret: &str| Token::new("ops".into(), secret, Scope::Read, None);
        assert_eq!(token("short").unwrap_err(), SecretFault::TooShort);
        assert_eq!(token("").unwrap_err(), SecretFault::TooShort);
        assert_eq!(token(&"x".repeat(5_000)).unwrap_err(), SecretFault::TooLong);
        assert_eq!(token("two words of which each has many letters").unwrap_err(), SecretFault::NotPlain);
        let token = token(&format!("{SECRET}\n")).unwrap();
        assert!(!format!("{token:?}").contains(SECRET));
        assert!(!format!("{token:?}").contains("hash"));
    }

    #[test]
    fn each_secret_is_its_owners_and_no_other() {
        let other = SECRET.replace('0', "z");
        let tenants: Arc<[Arc<str>]> = ["contoso".into()].into();
        let tokens = Tokens(vec![
            Token::new("ops".into(), SECRET, Scope::Admin, None).unwrap(),
            Token::new("portal".into(), &other, Scope::Change, Some(tenants)).unwrap(),
        ]);
        assert_eq!(tokens.caller(SECRET).unwrap().label(), "token ops");
        let portal = tokens.caller(&other).unwrap();
        assert!(portal.sees("contoso") && !portal.sees("fabrikam") && !portal.sees("") && !portal.sees_all());
        for wrong in ["", "0", &SECRET[1..], &format!("{SECRET}0"), &SECRET.to_uppercase()] {
            assert_eq!(tokens.caller(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn who_guesses_waits_longer_each_time_and_others_do_not() {
        let guesses = Guesses::new(4);
        let start = Instant::now();
        let from: IpAddr = "192.0.2.1".parse().unwrap();
        let delays: Vec<u64> = (0..8).map(|_| guesses.wrong(from, start).as_millis() as u64).collect();
        assert_eq!(delays, [250, 500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000]);
        assert_eq!(guesses.wrong("192.0.2.2".parse().unwrap(), start), FIRST_DELAY);
        let near = ["2001:db8::1", "2001:db8::2"].map(|text| guesses.wrong(text.parse().unwrap(), start));
        assert_eq!(near, [FIRST_DELAY, FIRST_DELAY * 2], "a network of one party counts as one");
        assert_eq!(guesses.wrong(from, start + FORGIVEN), FIRST_DELAY, "it is forgiven in time");
    }

    #[test]
    fn guesses_of_a_million_addresses_take_no_more_room() {
        let guesses = Guesses::new(100);
        let start = Instant::now();
        for number in 0..10_000_u32 {
            guesses.wrong(IpAddr::from(number.to_be_bytes()), start + Duration::from_millis(number.into()));
        }
        assert_eq!(guesses.len(), 100);
    }
}
