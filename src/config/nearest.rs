//! "Did you mean": the known word that a wrong one was most likely meant to be.

/// The nearest of the known words, when it is near enough to be worth a question.
pub(super) fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = wrong.chars().count();
    // A word of which no character is right was not meant to be the other.
    let allowed = (length.max(3) / 3).min(3).min(length.saturating_sub(1));
    known
        .into_iter()
        .map(|word| (distance(wrong, word), word))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// "did you mean ...?", when there is a near word.
pub(super) fn did_you_mean<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(wrong, known).map(|word| format!("did you mean `{word}`?"))
}

/// How many characters must be put in, left out, replaced, or swapped with their neighbour; case does not count.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().flat_map(char::to_lowercase).collect();
    let b: Vec<char> = b.chars().flat_map(char::to_lowercase).collect();
    // Words that differ much in length are never near: no table for them.
    if a.len().abs_diff(b.len()) > 3 {
        return usize::MAX;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            // `row`, `next` and, from the second row on, `before` have an entry for every index up to `j + 1`.
            let replaced = row[j] + usize::from(x != y);
            let mut best = replaced.min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && a[i - 1] == *y && *x == b[j - 1] {
                best = best.min(before[j - 1] + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = ["targets", "allow_from", "listen", "max_headers", "to"];
        for (wrong, expected) in [
            ("target", Some("targets")),
            ("tragets", Some("targets")),
            ("alow_form", Some("allow_from")),
            ("Listen", Some("listen")),
            ("max_header", Some("max_headers")),
            ("ot", Some("to")),
            ("password", None),
            ("x", None),
            ("t", None),
            ("", None),
        ] {
            assert_eq!(nearest(wrong, known), expected, "{wrong}");
        }
        assert_eq!(did_you_mean("lisen", known).as_deref(), Some("did you mean `listen`?"));
    }
}
