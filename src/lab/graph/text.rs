//! Small readings of text that Graph's requests are made of: queries, forms, durations, random names.

/// The value of text in which `%40` stands for `@`; what is no such triple stays.
pub(super) fn percent_decoded(text: &str) -> String {
    let mut rest = text.as_bytes();
    let mut decoded = Vec::with_capacity(rest.len());
    while let [first, after @ ..] = rest {
        if let (b'%', [high, low, after @ ..]) = (first, after)
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            decoded.push(high << 4 | low);
            rest = after;
        } else {
            decoded.push(*first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Names and values of a query or of a form, in order.
pub(super) fn pairs(text: &str) -> Vec<(String, String)> {
    let decode = |text: &str| percent_decoded(&text.replace('+', " "));
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

/// The first value of a name.
pub(super) fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}

/// Milliseconds of an ISO 8601 duration with days, hours, minutes and whole seconds: `PT1H`, `PT4H30M`, `P1D`.
pub(super) fn duration_millis(text: &str) -> Option<u64> {
    let rest = text.strip_prefix('P')?;
    let (days, time) = match rest.split_once('T') {
        Some((_, "")) => return None,
        Some((days, time)) => (days, time),
        None => (rest, ""),
    };
    if rest.is_empty() {
        return None;
    }
    let days = units(days, &[('D', 86_400)])?;
    let seconds = units(time, &[('H', 3_600), ('M', 60), ('S', 1)])?;
    days.checked_add(seconds)?.checked_mul(1_000)
}

/// Seconds of numbers with letters, each letter once and in the given order.
fn units(text: &str, known: &[(char, u64)]) -> Option<u64> {
    let (mut rest, mut sum) = (text, 0_u64);
    for (letter, seconds) in known {
        if let Some((number, after)) = rest.split_once(*letter) {
            sum = sum.checked_add(number.parse::<u64>().ok()?.checked_mul(*seconds)?)?;
            rest = after;
        }
    }
    rest.is_empty().then_some(sum)
}

/// A value for a query, escaped.
pub(super) fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
        encoded
    })
}

/// A name that nobody guesses, in the form of a GUID.
pub(super) fn guid() -> String {
    let mut bytes = [0_u8; 16];
    random(&mut bytes);
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default().to_owned();
    format!("{}-{}-4{}-8{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}

/// Fills bytes at random; where the system has no randomness they stay, which a rehearsal survives.
pub(super) fn random(bytes: &mut [u8]) {
    let _ = aws_lc_rs::rand::fill(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_graph_reads_them() {
        let cases = [
            ("PT5M", Some(300_000)),
            ("PT1H", Some(3_600_000)),
            ("PT1H30M", Some(5_400_000)),
            ("PT300S", Some(300_000)),
            ("P1D", Some(86_400_000)),
            ("P1DT1S", Some(86_401_000)),
            ("PT", None),
            ("P", None),
            ("5M", None),
            ("PT5", None),
            ("PT5M1H", None),
        ];
        for (text, expected) in cases {
            assert_eq!(duration_millis(text), expected, "{text}");
        }
    }

    #[test]
    fn queries_are_decoded() {
        let read = pairs("%24select=id%2Cmail&scope=a+b&x");
        assert_eq!(value(&read, "$select"), Some("id,mail"));
        assert_eq!(value(&read, "scope"), Some("a b"));
        assert_eq!(value(&read, "x"), Some(""));
        assert_eq!(percent_decoded("100%"), "100%");
        assert_eq!(percent_decoded(&percent_encoded("id in ('ä+b')")), "id in ('ä+b')");
    }
}
