//! What entries are found by: a letter for the kind, and the text in the form in which it is compared.

use std::collections::BTreeSet;

use crate::cdr::Entry;

/// The keys of an entry.
pub(super) fn keys(entry: &Entry) -> BTreeSet<String> {
    let numbers = [&entry.caller, &entry.called, &entry.sent_to, &entry.user].map(|text| number(text));
    let trunks = [&entry.from_trunk, &entry.to_trunk].map(|text| trunk(text));
    let others = [call(&entry.call), tenant(&entry.tenant)];
    // A kind without a text finds nothing.
    numbers.into_iter().chain(trunks).chain(others).filter(|key| key.len() > 2).collect()
}

pub(super) fn call(id: &str) -> String {
    format!("c:{id}")
}

pub(super) fn tenant(id: &str) -> String {
    format!("t:{id}")
}

pub(super) fn trunk(name: &str) -> String {
    format!("k:{name}")
}

pub(super) fn number(text: &str) -> String {
    format!("n:{}", plain(text))
}

/// A number without the signs that people write into it, a name in small letters.
pub(super) fn plain(text: &str) -> String {
    let is_sign = |letter: char| matches!(letter, '+' | ' ' | '-' | '.' | '(' | ')' | '/');
    let digits: String = text.chars().filter(|&letter| !is_sign(letter)).collect();
    let is_number = !digits.is_empty() && digits.chars().all(|letter| letter.is_ascii_digit() || letter == '*');
    if is_number { digits } else { text.trim().to_lowercase() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_however_they_are_written() {
        for (text, wanted) in [
            ("+44 (1632) 760-001", "441632760001"),
            ("402", "402"),
            ("+*********001", "*********001"),
            ("Anna.B-C", "anna.b-c"),
            ("", ""),
            ("+", "+"),
        ] {
            assert_eq!(plain(text), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_not_known_is_no_key() {
        let entry =
            Entry { call: "0a".to_owned(), caller: "+1".to_owned(), called: "1".to_owned(), ..Entry::default() };
        assert_eq!(keys(&entry).into_iter().collect::<Vec<_>>(), ["c:0a", "n:1"]);
    }
}
