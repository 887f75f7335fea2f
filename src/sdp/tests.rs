use super::*;

const CALL: &str = "v=0\r\no=- 9 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\nm=audio 49600 RTP/SAVP 8\r\n\
    a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x|2^31\r\na=rtcp-mux\r\n";

fn with(more: &str) -> String {
    format!("{CALL}{more}")
}

/// Every direction and address that is wanted, as the new text.
fn rewritten(sdp: &str, to: Direction, address: Option<&str>) -> String {
    let mut out = String::new();
    let mut at = 0;
    rewrite(
        sdp.as_bytes(),
        |_| to,
        address.map(str::as_bytes),
        |range, text| {
            assert!(range.start >= at && range.end >= range.start, "{range:?} after {at}");
            out.push_str(&sdp[at..range.start]);
            text.iter().for_each(|text| out.push_str(std::str::from_utf8(text).unwrap()));
            at = range.end;
        },
    );
    out + &sdp[at..]
}

#[test]
fn directions_are_found_at_both_levels() {
    let at_session = |line: &str| CALL.replace("t=0 0\r\n", &format!("t=0 0\r\n{line}\r\n"));
    for (sdp, wanted) in [
        (CALL.to_owned(), Direction::SendRecv),
        (with("a=sendonly\r\n"), Direction::SendOnly),
        (with("a=SENDONLY\n"), Direction::SendOnly),
        (with("a=inactive"), Direction::Inactive),
        (at_session("a=inactive"), Direction::Inactive),
        (at_session("a=inactive") + "a=recvonly\r\n", Direction::RecvOnly),
        // RFC 2543: nothing is received at 0.0.0.0.
        (CALL.replace("192.0.2.7", "0.0.0.0"), Direction::SendOnly),
        (CALL.replace("IP4 192.0.2.7", "IP6 ::"), Direction::SendOnly),
        (CALL.replace("192.0.2.7", "0.0.0.0") + "c=IN IP4 192.0.2.8\r\n", Direction::SendRecv),
        (CALL.replace("192.0.2.7", "0.0.0.0") + "a=recvonly\r\n", Direction::Inactive),
        // A stream that is switched off does not count; without any left nothing flows.
        (with("a=inactive\r\nm=video 5000 RTP/AVP 31\r\na=recvonly\r\n"), Direction::RecvOnly),
        (with("m=video 0 RTP/AVP 31\r\na=inactive\r\n"), Direction::SendRecv),
        (CALL.replace("49600", "0"), Direction::Inactive),
        (CALL.replace("49600", "49600/2"), Direction::SendRecv),
        ("v=0\r\n".to_owned(), Direction::SendRecv),
        (String::new(), Direction::SendRecv),
    ] {
        assert_eq!(direction(sdp.as_bytes()), wanted, "{sdp}");
        assert_eq!(is_hold(sdp.as_bytes()), !wanted.receives());
    }
}

#[test]
fn versions_are_compared_by_the_whole_origin() {
    let again = CALL.replace("m=audio 49600", "m=audio 49602");
    assert!(same_version(CALL.as_bytes(), again.as_bytes()));
    assert!(unchanged(CALL.as_bytes(), CALL.as_bytes()));
    assert!(!unchanged(CALL.as_bytes(), again.as_bytes()));
    assert!(!unchanged(CALL.as_bytes(), with("a=sendonly\r\n").as_bytes()), "a hold without a new version");
    for other in ["o=- 9 2 IN IP4 192.0.2.9", "o=- 8 1 IN IP4 192.0.2.9", "o=x 9 1 IN IP4 192.0.2.9", "o=-", "x=1"] {
        let other = CALL.replace("o=- 9 1 IN IP4 192.0.2.9", other);
        assert!(!same_version(CALL.as_bytes(), other.as_bytes()), "{other}");
    }
    assert!(!same_version(b"v=0\r\n", b"v=0\r\n"), "nothing is known without a version");
}

#[test]
fn directions_change_where_they_are_written() {
    for (line, to) in [("a=sendonly", "inactive"), ("a=recvonly", "sendrecv"), ("a=inactive", "sendonly")] {
        let direction = Direction::named(to.as_bytes()).unwrap();
        let (from, to) = (format!("{line}\r\n"), format!("a={to}\r\n"));
        assert_eq!(rewritten(&with(&from), direction, None), with(&to));
        let session = CALL.replace("t=0 0\r\n", &format!("t=0 0\r\n{from}"));
        assert_eq!(rewritten(&session, direction, None), CALL.replace("t=0 0\r\n", &format!("t=0 0\r\n{to}")));
    }
    assert_eq!(rewritten(&with("a=sendonly\na=x"), Direction::Inactive, None), with("a=inactive\na=x"));
    assert_eq!(rewritten(CALL, Direction::SendRecv, None), CALL);
    assert_eq!(rewritten(CALL, Direction::Inactive, None), with("a=inactive\r\n"));
    let open = CALL.trim_end();
    assert_eq!(rewritten(open, Direction::Inactive, None), format!("{open}\r\na=inactive"));
    let video = "m=video 5000 RTP/AVP 31\r\n";
    assert_eq!(
        rewritten(&with(video), Direction::Inactive, None),
        format!("{CALL}a=inactive\r\n{video}a=inactive\r\n")
    );
    let off = "m=video 0 RTP/AVP 31\r\na=sendonly\r\n";
    assert_eq!(rewritten(&with(off), Direction::Inactive, None), format!("{CALL}a=inactive\r\n{off}"));
}

#[test]
fn nowhere_gets_an_address() {
    let held = with("a=rtcp:49601 IN IP4 0.0.0.0\r\na=sendonly\r\n").replace("IP4 192.0.2.7", "IP4 0.0.0.0");
    let wanted = with("a=rtcp:49601 IN IP4 198.51.100.4\r\na=inactive\r\n").replace("192.0.2.7", "198.51.100.4");
    assert_eq!(rewritten(&held, Direction::Inactive, Some("IN IP4 198.51.100.4")), wanted);
    assert_eq!(address(held.as_bytes()), None);
    assert_eq!(origin_address(held.as_bytes()), Some(&b"IN IP4 192.0.2.9"[..]));
    assert_eq!(address(wanted.as_bytes()), Some(&b"IN IP4 198.51.100.4"[..]));
    assert_eq!(origin_address(CALL.replace("IP4 192.0.2.9", "IP4 pbx.example").as_bytes()), None);
}

#[test]
fn surplus_lines_leave_what_media_need() {
    let ice = "a=ice-ufrag:x\r\na=ice-pwd:y\r\na=candidate:1 1 UDP 1 192.0.2.7 5000 typ host\r\n";
    let rest = "b=AS:64\r\na=ssrc:1 cname:x\r\na=x-bypassid:1\r\n";
    let fat = with(&format!("{ice}{rest}b=RS:0\r\na=ptime:20\r\n")).replace("t=0 0", "b=CT:10000000\r\nt=0 0");
    let cut = |sdp: &str, ice: bool| {
        let mut out = String::new();
        let mut at = 0;
        surplus(sdp.as_bytes(), ice, |range| {
            out.push_str(&sdp[at..range.start]);
            at = range.end;
        });
        out + &sdp[at..]
    };
    assert_eq!(cut(&fat, true), with("b=RS:0\r\na=ptime:20\r\n"));
    assert_eq!(cut(&fat, false), with(&format!("{ice}b=RS:0\r\na=ptime:20\r\n")));
    assert_eq!(cut(CALL, true), CALL);
}
