use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn parse(text: &[u8]) -> Result<Message, Flaw> {
    Message::parse(Bytes::copy_from_slice(text), Framing::Datagram, &Limits::default())
}

fn request(headers: &str) -> Message {
    parse(format!("INVITE sip:a@b SIP/2.0\r\n{headers}\r\n").as_bytes()).unwrap()
}

#[test]
fn start_lines() {
    let it = parse(b"RE%47IST%45R sip:x SIP/2.0\r\n\r\n").unwrap();
    assert_eq!((it.method(), it.request_uri(), it.flaw()), (&b"RE%47IST%45R"[..], &b"sip:x"[..], None));
    let it = parse(b"SIP/2.0 100 \r\n\r\n").unwrap();
    assert_eq!((it.status(), it.reason_phrase()), (100, &b""[..]));
    let it = parse("sip/2.0 200 = 2**3 * 5**2 \u{43d}\r\n\r\n".as_bytes()).unwrap();
    assert_eq!((it.status(), it.reason_phrase()), (200, "= 2**3 * 5**2 \u{43d}".as_bytes()));
    assert_eq!(parse(b"SIP/2.0 404\r\n\r\n").unwrap().status(), 404);
    for (line, what) in [
        ("INVITE sip:a@b; lr SIP/2.0", What::StartLine),
        ("INVITE  sip:a@b SIP/2.0", What::StartLine),
        ("INVITE sip:a@b  SIP/2.0", What::StartLine),
        ("INVITE sip:a@b SIP/2.0  ", What::StartLine),
        ("INVITE <sip:a@b> SIP/2.0", What::StartLine),
        ("INVITE sip:a@b SIP/7.0", What::Version),
    ] {
        let it = parse(format!("{line}\r\nVia: x\r\n\r\n").as_bytes()).unwrap();
        assert_eq!(it.flaw().map(|flaw| flaw.what), Some(what), "{line}");
        assert!(it.line(HeaderName::Via).is_some(), "{line}: an answer needs the Via");
    }
    for (line, what) in [
        ("SIP/2.0 4294967301 x", What::StatusCode),
        ("SIP/2.0 99 x", What::StatusCode),
        ("SIP/2.0 700 x", What::StatusCode),
        ("SIP/3.0 200 x", What::Version),
        ("OPTIONS sip:a@b", What::NotSip),
        ("GET / HTTP/1.1", What::NotSip),
        ("@@ sip:a@b SIP/2.0", What::NotSip),
        ("", What::NotSip),
    ] {
        assert_eq!(parse(format!("{line}\r\n\r\n").as_bytes()).unwrap_err().what, what, "{line}");
    }
}

#[test]
fn lines_are_found_with_folds_and_lf_ends() {
    let it = parse(b"\r\nINVITE sip:a@b SIP/2.0\nTo :\n <sip:a@b>\n ;tag = 1\nSubject:\nX-Other:a:b \n\nbody").unwrap();
    assert_eq!(it.flaw(), None);
    assert_eq!(it.to().unwrap().tag(), Some(&b"1"[..]));
    assert_eq!(it.other(b"subject"), Some(&b""[..]));
    assert_eq!(it.other(b"X-OTHER"), Some(&b"a:b"[..]));
    assert_eq!(it.body(), b"body");
    assert_eq!(it.name_at(&it.lines()[0]), b"To");
}

#[test]
fn body_ends_where_content_length_says() {
    let it = parse(b"MESSAGE sip:a@b SIP/2.0\r\nl: 3\r\n\r\nabcINVITE sip:x SIP/2.0\r\n\r\n").unwrap();
    assert_eq!((it.body(), it.flaw()), (&b"abc"[..], None));
    assert!(it.bytes().ends_with(b"\r\n\r\nabc"));
    for length in ["9999", "-1", "five", "", "3\r\nContent-Length: 4", "3\r\nContent-Length: 3", "1 2"] {
        let it = parse(format!("MESSAGE sip:a@b SIP/2.0\r\nl: {length}\r\n\r\nabc").as_bytes()).unwrap();
        assert_eq!(it.flaw().map(|flaw| flaw.what), Some(What::ContentLength), "{length}");
    }
    assert_eq!(parse(b"MESSAGE sip:a@b SIP/2.0\r\n\r\nabc").unwrap().body(), b"abc", "to the datagram's end");
}

#[test]
fn flaws_are_noted_and_the_rest_is_read() {
    for (headers, what) in [
        ("no colon here\r\nVia: x\r\n", What::HeaderLine),
        ("bad name: x\r\nVia: x\r\n", What::HeaderLine),
        (": x\r\nVia: x\r\n", What::HeaderLine),
    ] {
        let it = request(headers);
        assert_eq!(it.flaw().map(|flaw| flaw.what), Some(what), "{headers}");
        assert_eq!(it.value(HeaderName::Via), Some(&b"x"[..]));
    }
    let it = parse(b"INVITE sip:a@b SIP/2.0\r\nVia: x").unwrap();
    assert_eq!(it.flaw().map(|flaw| flaw.what), Some(What::Unterminated));
    assert_eq!(it.value(HeaderName::Via), Some(&b"x"[..]));
}

#[test]
fn limits_hold() {
    let limits = Limits { max_message_bytes: 400, max_headers: 3, max_header_line_bytes: 50, max_values_per_header: 2 };
    let with = |text: &str| Message::parse(Bytes::copy_from_slice(text.as_bytes()), Framing::Datagram, &limits);
    let head = "INVITE sip:a@b SIP/2.0\r\n";
    assert_eq!(with(&format!("{head}{}", "x".repeat(400))).unwrap_err().what, What::TooLong);
    let it = with(&format!("{head}a: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\n\r\n")).unwrap();
    assert_eq!((it.flaw().map(|flaw| flaw.what), it.lines().len()), (Some(What::TooManyHeaders), 3));
    let it = with(&format!("{head}a: {}\r\n\r\n", "x".repeat(50))).unwrap();
    assert_eq!(it.flaw().map(|flaw| flaw.what), Some(What::LineTooLong));
    let text = format!("{head}Via: SIP/2.0/UDP a;branch=1\r\nRoute: <a:b>,<a:c>,<a:d>\r\n\r\n");
    let what = crate::sip::Essentials::of_request(&with(&text).unwrap(), &limits).unwrap_err();
    assert_eq!(what, What::TooManyValues);
}

/// A message of 65,535 bytes is the largest that the 16-bit index can hold.
#[test]
fn largest_message_is_indexed_to_its_last_byte() {
    let head = "MESSAGE sip:a@b SIP/2.0\r\nVia: x\r\n\r\n";
    let text = format!("{head}{}", "b".repeat(65_535 - head.len()));
    let it = parse(text.as_bytes()).unwrap();
    assert_eq!(it.body().len(), 65_535 - head.len());
    assert_eq!(parse(format!("{text}b").as_bytes()).unwrap_err().what, What::TooLong);
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        walk(&bytes);
    }

    #[test]
    fn any_mutation_of_a_real_message_is_survived(at in 0usize..700, byte in any::<u8>(), cut in 0usize..700) {
        let mut bytes = REAL.as_bytes().to_vec();
        if let Some(place) = bytes.get_mut(at) {
            *place = byte;
        }
        walk(&bytes);
        bytes.truncate(cut);
        walk(&bytes);
    }
}

const REAL: &str = "INVITE sip:+1@h:5061;transport=tls SIP/2.0\r\nFROM: John Doe<sip:+2@sip.pstnhub.microsoft.com:5061>;tag=1\r\n\
    TO: \"x\" <sip:+1@h>\r\nCSEQ: 1 INVITE\r\nCALL-ID: a\r\nMAX-FORWARDS: 70\r\nVIA: SIP/2.0/TLS 1.2.3.4:5061;branch=z9hG4bKa, SIP/2.0/UDP [::1]\r\n\
    RECORD-ROUTE: <sip:a:1;lr>,<sip:b;lr>\r\nCONTACT: <sip:api-du.pstnhub.microsoft.com:443;x-c=a/s/1/b>\r\nREASON: Q.850;cause=16;text=\"bye\"\r\nl: 2\r\n\r\nok";

/// Calls everything that reads, so that a panic anywhere shows.
fn walk(bytes: &[u8]) {
    let Ok(it) = parse(bytes) else { return };
    let _ = crate::sip::Essentials::of_request(&it, &Limits::default());
    let _ = (it.top_via(), it.from(), it.to(), it.call_id(), it.cseq(), it.max_forwards(), it.uri());
    it.contacts().chain(it.routes()).chain(it.record_routes()).for_each(|address| {
        if let Ok(address) = address {
            let _ = (address.uri(), address.tag());
        }
    });
    it.reasons().for_each(drop);
    it.option_tags(HeaderName::Require).for_each(drop);
    let mut edits = crate::sip::Edits::new();
    edits.remove_values(&it, HeaderName::Via, 1);
    edits.append_header(&it, "X", b"y");
    edits.apply(&it);
}
