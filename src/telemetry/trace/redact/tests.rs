use proptest::prelude::*;

use super::*;

fn words(message: &str) -> String {
    let hidden = redact(message.as_bytes(), Mask::Words);
    let filled = redact(message.as_bytes(), Mask::SameLength);
    assert_eq!(filled.len(), message.len(), "lengths stay true");
    let breaks =
        |text: &[u8]| text.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at).collect::<Vec<_>>();
    assert_eq!(breaks(&filled), breaks(message.as_bytes()), "and lines too");
    String::from_utf8(hidden).unwrap()
}

/// A message with these header lines and this body.
fn message(headers: &str, body: &str) -> String {
    format!("INVITE sip:b@c SIP/2.0\r\nCall-ID: x\r\n{headers}\r\n{body}")
}

#[test]
fn headers_without_their_secrets() {
    let token = "q7Zk3x9Lm2Vt8Rb4Nc6Hd1Ws5Yp0Gf";
    for (line, expected) in [
        ("Subject: plain", "Subject: plain"),
        ("Authorization: Digest username=\"u\", response=\"5ec2e7\"", "Authorization: Digest …"),
        ("proxy-authorization :Digest a=\"b\"", "proxy-authorization :Digest …"),
        ("Proxy-Authorization:tok", "Proxy-Authorization:…"),
        ("Authorization: Digest u=1,\r\n response=\"5ec2e7\"", "Authorization: Digest …\r\n …"),
        ("Authentication-Info: rspauth=\"5ec2e7\"", "Authentication-Info: …"),
        ("WWW-Authenticate: Digest nonce=\"n\"", "WWW-Authenticate: Digest nonce=\"n\""),
        ("From: <sip:bob:pw5ec2e7@h>;tag=1", "From: <sip:bob:…@h>;tag=1"),
        ("From: \"a@b\" <SIPS:+441632960001@h;user=phone>", "From: \"a@b\" <SIPS:+441632960001@h;user=phone>"),
        ("Contact: <sip:first.last.of.some.department@h>", "Contact: <sip:first.last.of.some.department@h>"),
        ("Contact: <sip:h;token=5ec2e7;lr>", "Contact: <sip:h;token=…;lr>"),
        ("Refer-To: <sip:a@h?Authorization=5ec2e7&X=y>", "Refer-To: <sip:a@h?Authorization=…&X=y>"),
        ("X-Other: sipsip:nothing", "X-Other: sipsip:nothing"),
    ] {
        assert_eq!(words(&message(&format!("{line}\r\n"), "")), message(&format!("{expected}\r\n"), ""), "{line}");
    }
    let shown = words(&message(&format!("Contact: <sip:{token}@edge>\r\nRoute: <sip:{token};x=y@edge;lr>\r\n"), ""));
    assert_eq!(shown, message("Contact: <sip:q7Zk…@edge>\r\nRoute: <sip:q7Zk…@edge;lr>\r\n", ""));
    let start = format!("BYE sip:{token}@edge:5061;transport=tls SIP/2.0\r\n\r\n");
    assert_eq!(words(&start), "BYE sip:q7Zk…@edge:5061;transport=tls SIP/2.0\r\n\r\n");
}

#[test]
fn session_descriptions_without_their_keys() {
    for (line, expected) in [
        ("a=rtpmap:8 PCMA/8000", "a=rtpmap:8 PCMA/8000"),
        ("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:5ec2e7|2^20", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:…"),
        ("A=CRYPTO:1 X INLINE:5ec2e7", "A=CRYPTO:1 X INLINE:…"),
        ("a=crypto 5ec2e7", "a=crypto…"),
        ("a=ice-pwd:5ec2e7", "a=ice-pwd:…"),
        ("a=ice-ufrag:F7gI", "a=ice-ufrag:F7gI"),
        ("a=key-mgmt:mikey 5ec2e7", "a=key-mgmt:…"),
        ("k=clear:5ec2e7", "k=…"),
        (" a=ice-pwd:5ec2e7", " a=ice-pwd:…"),
    ] {
        let sdp = |line: &str| message("c: application/SDP;x=y\r\n", &format!("v=0\r\n{line}\r\nt=0 0\r\n"));
        assert_eq!(words(&sdp(line)), sdp(expected), "{line}");
        // Cut off behind it.
        let cut = message("Content-Type: application/sdp\r\n", line);
        assert_eq!(words(&cut), message("Content-Type: application/sdp\r\n", expected), "{line}");
    }
}

#[test]
fn other_bodies_are_told_by_type_and_length() {
    let shown = |headers: &str, body: &str| words(&message(headers, body));
    assert!(
        shown("Content-Type: Application/PIDF+xml\r\n", "<5ec2e7/>")
            .ends_with("\r\n\r\n[application/pidf+xml, 9 bytes]")
    );
    assert!(shown("", "5ec2e7").ends_with("\r\n\r\n[no type, 6 bytes]"));
    assert!(shown("Content-Type: multipart/mixed\r\n", "5ec2e7").ends_with("[multipart/mixed, 6 bytes]"));
    let fragment = shown("Content-Type: message/sipfrag\r\n", "SIP/2.0 200 OK\r\nAuthorization: Digest 5ec2e7\r\n");
    assert!(fragment.ends_with("SIP/2.0 200 OK\r\nAuthorization: Digest …\r\n"), "{fragment}");
}

#[test]
fn parts_of_a_body_are_looked_at_one_by_one() {
    let body = "before\r\n--b1\r\nContent-Type: application/sdp\r\n\r\nv=0\r\na=ice-pwd:5ec2e7\r\n\r\n--b1\r\n\
                Content-Type: application/pidf+xml\r\nContent-ID: <x>\r\n\r\n<5ec2e7/>\r\n--b1--\r\nbehind";
    let shown = words(&message("Content-Type: multipart/mixed; boundary=\"b1\"\r\n", body));
    let (_, shown) = shown.split_once("\r\n\r\n").unwrap();
    assert_eq!(
        shown,
        "…--b1\r\nContent-Type: application/sdp\r\n\r\nv=0\r\na=ice-pwd:…\r\n\r\n--b1\r\n\
         Content-Type: application/pidf+xml\r\nContent-ID: <x>\r\n\r\n[application/pidf+xml, 9 bytes]\r\n--b1--\r\n…"
    );
    let open = words(&message("Content-Type: multipart/mixed;boundary=b1\r\n", "--b1\r\n\r\n5ec2e7"));
    assert!(open.ends_with("--b1\r\n\r\n[no type, 6 bytes]"), "{open}");
    let none = words(&message("Content-Type: multipart/mixed;boundary=b1\r\n", "5ec2e7"));
    assert!(!none.contains("5ec2e7"), "{none}");
}

/// Pieces of which messages are made that may hide a secret from a careless reader.
fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "\r\n",
        "\n",
        " ",
        "\r\n\r\n",
        "a=x:y",
        "v=0",
        "--b1",
        "--",
        "Content-Type: application/sdp",
        "c: x/y",
        "Content-Type: multipart/mixed;boundary=b1",
        "sip:u@h",
        ":",
        "…",
        "<",
        ">",
        ";",
        "To: <sip:a@b>",
    ])
}

proptest! {
    #[test]
    fn secrets_stay_hidden_whatever_stands_around_them(
        before in prop::collection::vec(piece(), 0..12),
        after in prop::collection::vec(piece(), 0..12),
        secret in prop::sample::select(vec![
            "\r\nAuthorization: Digest 5ec2e7",
            "\r\na=crypto:1 A inline:5ec2e7",
            "\r\na=ice-pwd:5ec2e7",
            "\r\nProxy-Authorization: 5ec2e7",
        ]),
    ) {
        let text = format!("INVITE sip:b@c SIP/2.0\r\n{}{secret}{}", before.concat(), after.concat());
        // A session description is shown: a header that stands in it is no header.
        let in_head = !text.split("5ec2e7").next().unwrap().replace('\r', "").contains("\n\n");
        prop_assume!(in_head || secret.contains("a="));
        for mask in [Mask::Words, Mask::SameLength] {
            let shown = redact(text.as_bytes(), mask);
            prop_assert!(!String::from_utf8_lossy(&shown).contains("5ec2e7"), "{text:?}");
        }
    }

    #[test]
    fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert_eq!(redact(&bytes, Mask::SameLength).len(), bytes.len());
        redact(&bytes, Mask::Words);
    }
}
