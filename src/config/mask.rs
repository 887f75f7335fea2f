//! Keeps secrets out of faults: what a line of a configuration must not show.
//!
//! Works on lines, not on the parsed document, so that it also serves a document that does not parse. Every masked byte
//! becomes one `*`, so that places stay where they are.

/// Parts of key names whose values are secret.
const SECRET: [&str; 6] = ["password", "passwd", "secret", "passphrase", "token", "credential"];

/// The text with secret values masked; `None` when there are none.
pub(super) fn masked(text: &str) -> Option<String> {
    let mut shown = String::with_capacity(text.len());
    let mut until: Option<&str> = None;
    let mut changed = false;
    for line in text.split_inclusive('\n') {
        let from = match until {
            Some(end) => {
                if line.contains(end) {
                    until = None;
                }
                Some(0)
            }
            None => secret(line).inspect(|from| until = opened(line.get(*from..).unwrap_or(""))),
        };
        let (open, hidden) = line.split_at(from.unwrap_or(line.len()));
        shown.push_str(open);
        for character in hidden.chars() {
            match character {
                '\r' | '\n' => shown.push(character),
                _ => shown.extend(std::iter::repeat_n('*', character.len_utf8())),
            }
        }
        changed |= !hidden.is_empty();
    }
    changed.then_some(shown)
}

/// Where the secret of a line begins.
fn secret(line: &str) -> Option<usize> {
    let named = line.char_indices().filter(|(_, character)| *character == '=').find_map(|(at, _)| {
        let key = line.get(..at)?.trim_end().trim_end_matches(['"', '\'']);
        let begin = key.rfind(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-')));
        let key = key.get(begin.map_or(0, |begin| begin + 1)..)?.to_ascii_lowercase();
        SECRET.iter().any(|part| key.contains(part)).then_some(at + 1)
    });
    let pem = line.find("-----BEGIN").filter(|_| line.contains("PRIVATE"));
    match (named, pem) {
        (Some(named), Some(pem)) => Some(named.min(pem)),
        (named, pem) => named.or(pem),
    }
}

/// What ends the secret that a line begins, if it goes on behind the line.
fn opened(value: &str) -> Option<&'static str> {
    if value.contains("-----BEGIN") && !value.contains("-----END") {
        return Some("-----END");
    }
    ["\"\"\"", "'''"].into_iter().find(|quote| value.matches(quote).count() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_nothing_moves() {
        for (text, shown) in [
            ("password = \"x1\"\n", Some("password =*****\n")),
            ("a = { user = 'u', \"Client_Secret\" = 'é' }", Some("a = { user = 'u', \"Client_Secret\" =*******")),
            ("auth-token='a'\r\nnext = 1", Some("auth-token=***\r\nnext = 1")),
            ("api_token = '''\none\ntwo'''\nb = 1\n", Some("api_token =****\n***\n******\nb = 1\n")),
            (
                "key = \"\"\"-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\n\"\"\"\nb = 1",
                Some("key = \"\"\"***************************\n***\n*************************\n\"\"\"\nb = 1"),
            ),
            ("key = \"certs/edge.key\"\nprefix = \"+44\"\n", None),
        ] {
            assert_eq!(masked(text).as_deref(), shown);
            assert_eq!(masked(text).unwrap_or(text.to_owned()).len(), text.len());
        }
    }
}
