//! What is needed of a message before it is known whether anybody wants it: its Call-ID and its method, found in its bytes
//! without an index. What comes from the network is looked at here first.

use memchr::{memchr, memmem};

/// Bytes in which the Call-ID and CSeq of a message are looked for.
const LOOKED_AT: usize = 16 * 1024;

/// What a message says of itself at first sight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peek<'a> {
    pub call_id: &'a [u8],
    /// The method that CSeq names: an answer's too.
    pub method: &'a [u8],
    pub is_request: bool,
}

impl<'a> Peek<'a> {
    /// Looks at a message; `None`: it has no Call-ID or no CSeq, or is no SIP message.
    pub fn at(message: &'a [u8]) -> Option<Self> {
        let head = message.get(..LOOKED_AT).unwrap_or(message);
        let (mut call_id, mut method) = (None, None);
        let mut at = memchr(b'\n', head)? + 1;
        let start = head.get(..at).unwrap_or_default();
        let is_request = !start.starts_with(b"SIP/2.0 ");
        if is_request && !trim(start).ends_with(b"SIP/2.0") {
            return None;
        }
        while let Some(rest) = head.get(at..) {
            let next = memchr(b'\n', rest);
            let line = rest.get(..next.unwrap_or(rest.len())).unwrap_or_default();
            match line.first() {
                None | Some(b'\r') => return None,
                Some(b'c' | b'C' | b'i' | b'I') => {
                    if let Some(value) = value_of(line, b"call-id").or_else(|| value_of(line, b"i")) {
                        call_id = call_id.or(Some(value));
                    } else if let Some(value) = value_of(line, b"cseq") {
                        let blank = value.iter().rposition(|byte| matches!(byte, b' ' | b'\t'));
                        method = method.or(value.get(blank? + 1..));
                    }
                }
                _ => {}
            }
            if let (Some(call_id), Some(method)) = (call_id, method) {
                return (!call_id.is_empty()).then_some(Self { call_id, method, is_request });
            }
            at += next? + 1;
        }
        None
    }

    /// Whether it may begin a call: an INVITE without a tag in To.
    pub fn begins_call(&self, message: &[u8]) -> bool {
        self.is_request && self.method == b"INVITE" && !header(message, b"to", b"t").is_some_and(has_tag)
    }
}

fn has_tag(to: &[u8]) -> bool {
    let parameters = memchr(b'>', to).map_or(0, |end| end + 1);
    memmem::find(&to.get(parameters..).unwrap_or_default().to_ascii_lowercase(), b";tag=").is_some()
}

/// The value of the first header of a name, given in lower case, or of its short form.
pub fn header<'a>(message: &'a [u8], name: &[u8], short: &[u8]) -> Option<&'a [u8]> {
    lines(message).find_map(|line| value_of(line, name).or_else(|| value_of(line, short)))
}

/// The lines of a message up to the empty one, the start line left out.
fn lines(message: &[u8]) -> impl Iterator<Item = &[u8]> {
    message.split(|&byte| byte == b'\n').skip(1).take_while(|line| !line.is_empty() && *line != b"\r")
}

fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    if name.is_empty() || !line.get(..name.len())?.eq_ignore_ascii_case(name) {
        return None;
    }
    let rest = line.get(name.len()..)?;
    let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    (rest.get(blanks) == Some(&b':')).then(|| trim(rest.get(blanks + 1..).unwrap_or_default()))
}

fn trim(text: &[u8]) -> &[u8] {
    text.trim_ascii()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn call_id_and_method_are_found_in_all_their_forms() {
        for (message, expected) in [
            ("INVITE sip:a SIP/2.0\r\nCall-ID: x@y\r\nCSeq: 1 INVITE\r\n\r\n", Some(("x@y", "INVITE", true))),
            ("SIP/2.0 200 OK\r\nCSeq: 1 OPTIONS\r\ni:  x \r\n\r\n", Some(("x", "OPTIONS", false))),
            ("BYE sip:a SIP/2.0\ncall-id : x\ncseq:2\tBYE\n\n", Some(("x", "BYE", true))),
            ("INVITE sip:a SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\nCall-ID: in a body\r\n", None),
            ("INVITE sip:a SIP/2.0\r\nCall-ID:\r\nCSeq: 1 INVITE\r\n\r\n", None),
            ("INVITE sip:a SIP/2.0\r\nCall-Info: x\r\nIdentity: i\r\n\r\n", None),
            ("GET / HTTP/1.1\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\r\n", None),
            ("INVITE sip:a SIP/2.0\r\nCall-ID: x\r\nCSeq: nothing\r\n\r\n", None),
            ("", None),
            ("INVITE sip:a SIP/2.0", None),
        ] {
            let found = Peek::at(message.as_bytes());
            let expected = expected.map(|(call_id, method, is_request)| Peek {
                call_id: call_id.as_bytes(),
                method: method.as_bytes(),
                is_request,
            });
            assert_eq!(found, expected, "{message}");
        }
    }

    #[test]
    fn only_an_invite_without_a_tag_begins_a_call() {
        for (to, begins) in [
            ("To: <sip:b@c>", true),
            ("t: <sip:b@c;tag=none>", true),
            ("To: <sip:b@c>;tag=1", false),
            ("t: sip:b@c ;x=y;TAG=1", false),
        ] {
            let message = format!("INVITE sip:b SIP/2.0\r\n{to}\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\r\n");
            let message = message.as_bytes();
            assert_eq!(Peek::at(message).unwrap().begins_call(message), begins, "{to}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            if let Some(peek) = Peek::at(&bytes) {
                prop_assert!(!peek.call_id.is_empty());
                peek.begins_call(&bytes);
            }
        }
    }
}
