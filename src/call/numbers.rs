//! Numbers on their way through the edge: the translation rules of the trunk that a request comes from and of the one
//! that it goes to, applied to the user parts of URIs. Requests inside a dialog keep theirs: they name no numbers to
//! route by.

use std::borrow::Cow;
use std::sync::Arc;

use crate::routing::translate::{Rule, Translation};
use crate::sip::scan::Params;

/// The user part after a list of rules; borrowed when nothing changes.
///
/// Rules see the number unescaped and with `;ext=`; other parameters of the user part stay as they are.
pub fn translated<'a>(rules: &Translation, user: &'a [u8]) -> Cow<'a, [u8]> {
    translated_by(rules, user).0
}

/// As [`translated`], with the rule that was applied.
pub fn translated_by<'a, 'r>(rules: &'r Translation, user: &'a [u8]) -> (Cow<'a, [u8]>, Option<&'r Arc<str>>) {
    if rules.rules().is_empty() {
        return (Cow::Borrowed(user), None);
    }
    let number = number_of(user);
    // A rule that makes a number too long is passed over, as one that does not match.
    let Ok(after) = rules.apply(&number) else { return (Cow::Borrowed(user), None) };
    let rule = after.rule.and_then(|name| rules.rules().iter().map(Rule::name).find(|known| Arc::ptr_eq(known, name)));
    if rule.is_none() || after.number == number {
        return (Cow::Borrowed(user), rule);
    }
    (Cow::Owned(with_number(user, &after.number)), rule)
}

/// The number in a user part: unescaped, with `;ext=` and without other parameters.
pub fn number_of(user: &[u8]) -> Cow<'_, [u8]> {
    let (digits, params) = user.split_at(memchr::memchr(b';', user).unwrap_or(user.len()));
    let mut number = unescaped(digits);
    for param in Params::new(params).filter_map(Result::ok).filter(|param| param.is(EXTENSION)) {
        let number = number.to_mut();
        number.extend_from_slice(b";ext=");
        number.extend_from_slice(param.value.unwrap_or_default());
    }
    number
}

/// A user part with another number: its parameters other than `;ext=` stay.
pub fn with_number(user: &[u8], number: &[u8]) -> Vec<u8> {
    let (_, params) = user.split_at(memchr::memchr(b';', user).unwrap_or(user.len()));
    let mut out = Vec::with_capacity(user.len() + 8);
    number.iter().for_each(|&byte| write_escaped(byte, &mut out));
    for param in Params::new(params).filter_map(Result::ok).filter(|param| !param.is(EXTENSION)) {
        out.push(b';');
        out.extend_from_slice(param.name);
        if let Some(value) = param.value {
            out.push(b'=');
            out.extend_from_slice(value);
        }
    }
    out
}

/// A user part as it may stand in a URI; what is escaped already stays so.
pub fn written(user: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(user.len());
    for (at, &byte) in user.iter().enumerate() {
        let escape = byte == b'%' && user.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        if escape { out.push(byte) } else { write_escaped(byte, &mut out) }
    }
    out
}

/// The parameter of a user part that belongs to the number (RFC 3966 section 5.1.5.1).
const EXTENSION: &[u8] = b"ext";

/// `%2B44` as `+44`.
pub(super) fn unescaped(user: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'%', user).is_none() {
        return Cow::Borrowed(user);
    }
    let mut out = Vec::with_capacity(user.len());
    let mut rest = user;
    while let Some((&byte, tail)) = rest.split_first() {
        let escape = tail.get(..2).filter(|_| byte == b'%').and_then(super::branch::read_hex);
        match escape {
            Some(code) => {
                out.push(code as u8); // two digits
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    Cow::Owned(out)
}

/// Writes a byte of a user part, escaped where it may not stand (RFC 3261 section 25.1, `user`; `;` begins `ext`).
fn write_escaped(byte: u8, out: &mut Vec<u8>) {
    if byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&byte) {
        out.push(byte);
    } else {
        out.push(b'%');
        super::branch::write_hex(out, byte.into(), 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_parts_are_translated_and_their_parameters_stay() {
        let rules = |pattern: &str, with: &str| Translation::new(vec![Rule::new("r", pattern, with).unwrap()]).unwrap();
        for (pattern, with, user, wanted) in [
            (r"^0(\d+)$", "+44$1", "01632765000", "+441632765000"),
            (r"^0(\d+)$", "+44$1", "+441632765000", "+441632765000"),
            (r"^\+44(\d+)$", "0$1", "%2B441632765000;phone-context=x", "01632765000;phone-context=x"),
            (r"^(\d+);ext=(\d+)$", "$2", "441632765000;phone-context=x;ext=402", "402;phone-context=x"),
            (r"^(\d{3})$", "+441632768402;ext=$1", "402", "+441632768402;ext=402"),
            (r"^(\d+)$", "#$1", "31", "%2331"),
        ] {
            let rules = rules(pattern, with);
            let out = translated(&rules, user.as_bytes());
            assert_eq!(std::str::from_utf8(&out).unwrap(), wanted, "{pattern} on {user}");
        }
        assert!(matches!(translated(&Translation::default(), b"1"), Cow::Borrowed(b"1")));
    }
}
