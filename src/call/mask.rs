//! Numbers that not everybody may read: all but the last digits are masked.

use std::borrow::Cow;

/// The shortest run of digits that is taken for a number in a text: Microsoft's reasons and statuses are shorter.
const MIN_RUN: usize = 7;

/// What stands for a digit.
const MASKED: char = '*';

/// How much of a number is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mask(Option<usize>);

impl Mask {
    /// Shows the last `kept` digits; `None`: all of them.
    pub const fn new(kept: Option<usize>) -> Self {
        Self(kept)
    }

    /// A number, or whatever the user part of a URI is: each of its digits counts.
    pub fn number<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let Some(kept) = self.0 else { return text.into() };
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        if digits <= kept {
            return text.into();
        }
        let mut left = digits - kept;
        let masked = |letter: char| {
            if !letter.is_ascii_digit() || left == 0 {
                return letter;
            }
            left -= 1;
            MASKED
        };
        text.chars().map(masked).collect::<String>().into()
    }

    /// A text that may have numbers in it: long runs of digits are masked.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.0.is_none() || !has_run(text) {
            return text.into();
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
            // `end` comes from `find`: it is on the boundary of a character.
            let (run, tail) = rest.split_at(end);
            out.push_str(&if run.len() >= MIN_RUN { self.number(run) } else { run.into() });
            let begin = tail.find(|letter: char| letter.is_ascii_digit()).unwrap_or(tail.len());
            let (plain, tail) = tail.split_at(begin);
            out.push_str(plain);
            rest = tail;
        }
        out.into()
    }
}

fn has_run(text: &str) -> bool {
    text.as_bytes().split(|byte| !byte.is_ascii_digit()).any(|run| run.len() >= MIN_RUN)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_digits_stay() {
        for (kept, text, wanted) in [
            (None, "+441632760001", "+441632760001"),
            (Some(3), "+441632760001", "+*********001"),
            (Some(0), "+44 1632 760001", "+** **** ******"),
            (Some(3), "402", "402"),
            (Some(2), "402", "*02"),
            (Some(3), "anna", "anna"),
            (Some(1), "anna.4711", "anna.***1"),
        ] {
            assert_eq!(Mask::new(kept).number(text), wanted, "{kept:?} {text}");
        }
        for (kept, text, wanted) in [
            (None, "no +441632760001", "no +441632760001"),
            (Some(3), "no +441632760001, 510532, at 1234567", "no +*********001, 510532, at ****567"),
            (Some(3), "SIP;cause=480;text=\"ö 10037\"", "SIP;cause=480;text=\"ö 10037\""),
            (Some(0), "", ""),
        ] {
            assert_eq!(Mask::new(kept).text(text), wanted, "{kept:?} {text}");
        }
    }

    proptest! {
        #[test]
        fn no_more_digits_are_shown_than_are_kept(text in "\\PC{0,40}|[0-9+ ]{0,30}", kept in 0_usize..15) {
            let masked = Mask::new(Some(kept)).number(&text).into_owned();
            let digits = |text: &str| text.bytes().filter(u8::is_ascii_digit).count();
            prop_assert_eq!(digits(&masked), digits(&text).min(kept));
            prop_assert_eq!(masked.chars().count(), text.chars().count());
            let shown = Mask::new(Some(kept)).text(&text).into_owned();
            prop_assert!(shown.as_bytes().split(|byte| !byte.is_ascii_digit()).all(|run| run.len() <= kept.max(6)));
        }
    }
}
