//! What a caller wants hidden: Privacy (RFC 3323 section 4.2, RFC 3325 section 9.3, RFC 7044 section 10.1).

use super::lines_of;
use crate::sip::scan::{self, Values};
use crate::sip::{Message, NameAddr};

/// The words of a Privacy header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Privacy(u8);

const WORDS: [(&[u8], u8); 7] = [
    (b"id", Privacy::ID),
    (b"user", Privacy::USER),
    (b"header", Privacy::HEADER),
    (b"session", Privacy::SESSION),
    (b"history", Privacy::HISTORY),
    (b"critical", Privacy::CRITICAL),
    (b"none", Privacy::NONE),
];

impl Privacy {
    const ID: u8 = 1;
    const USER: u8 = 2;
    const HEADER: u8 = 4;
    const SESSION: u8 = 8;
    const HISTORY: u8 = 16;
    const CRITICAL: u8 = 32;
    const NONE: u8 = 64;

    /// Reads all Privacy lines of a message; words that no standard knows are left alone.
    pub fn of(message: &Message) -> Self {
        lines_of(message, "Privacy")
            .fold(Self::default(), |all, line| Self(all.0 | Self::read(message.value_at(line)).0))
    }

    /// Reads a value: words between semicolons, or commas as some write.
    pub fn read(value: &[u8]) -> Self {
        let words = value.split(|byte| matches!(byte, b';' | b',')).map(scan::trim);
        Self(words.fold(0, |all, word| {
            let known = WORDS.iter().find(|(known, _)| word.eq_ignore_ascii_case(known));
            all | known.map_or(0, |(_, flag)| *flag)
        }))
    }

    const fn has(self, flags: u8) -> bool {
        self.0 & flags != 0
    }

    /// Whether something is asked for, be it that nothing is hidden.
    pub const fn is_asked(self) -> bool {
        self.has(Self::ID | Self::USER | Self::NONE)
    }

    /// Whether who calls is to be hidden. `none` beside another word is a contradiction, and the caller's doubt.
    pub const fn hides(self) -> bool {
        self.has(Self::ID | Self::USER)
    }

    /// Whether those who have diverted the call are to be hidden, all of them.
    pub const fn hides_history(self) -> bool {
        self.has(Self::HISTORY | Self::HEADER)
    }

    /// Whether the caller wants no call at all rather than one that is less private than asked for. The edge hides who
    /// calls and the way of the message, but sends media straight (RFC 3323 section 5.2: `session`).
    pub const fn cannot_be_kept(self) -> bool {
        self.has(Self::SESSION) && self.has(Self::CRITICAL)
    }
}

/// Whether Remote-Party-ID, which came before Privacy, asks for the same: `;privacy=full`.
pub(super) fn remote_party_hides(message: &Message) -> bool {
    let lines = lines_of(message, "Remote-Party-ID");
    let mut values = lines.flat_map(|line| Values::new(message.value_at(line))).filter_map(Result::ok);
    values.any(|value| {
        let word = NameAddr::parse(value).ok().and_then(|address| address.param(b"privacy")?.value);
        word.is_some_and(|word| [&b"full"[..], b"uri", b"name"].iter().any(|known| word.eq_ignore_ascii_case(known)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_in_any_case_and_order() {
        for (value, hides, history, kept) in [
            ("", false, false, true),
            ("none", false, false, true),
            ("id", true, false, true),
            ("ID;critical", true, false, true),
            (" user ; header", true, true, true),
            ("history", false, true, true),
            ("session; critical", false, false, false),
            ("session", false, false, true),
            ("id, critical", true, false, true),
            ("identity;foo", false, false, true),
        ] {
            let privacy = Privacy::read(value.as_bytes());
            assert_eq!(
                (privacy.hides(), privacy.hides_history(), !privacy.cannot_be_kept()),
                (hides, history, kept),
                "{value}"
            );
        }
    }
}
