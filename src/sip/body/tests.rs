use super::*;
use crate::sip::{Framing, Limits};

const SDP: &str = "v=0\r\ns=-\r\nm=audio 1 RTP/AVP 8\r\na=sendrecv";
const PLACE: &str = "<presence>here</presence>";

fn message(content_type: &str, body: &str) -> Message {
    let length = body.len();
    let text = format!(
        "INVITE sip:a@b SIP/2.0\r\nCONTENT-TYPE: {content_type}\r\nContent-Length: {length}\r\nX-Last: 1\r\n\r\n{body}"
    );
    Message::parse(text.into_bytes().into(), Framing::Datagram, &Limits::default()).unwrap()
}

/// Kinds and contents of the parts.
fn parts(message: &Message) -> Vec<(Kind, &str)> {
    let text = |span| std::str::from_utf8(message.at(span)).unwrap();
    Parts::of(message).iter().map(|part| (part.kind, text(part.content))).collect()
}

fn mixed(break_: &str) -> String {
    format!(
        "preamble--b\r\n--b\r\nContent-Type: application/sdp\r\n\r\n{SDP}\r\n--b  \r\nContent-ID: <x>\r\n\
         content-type:\r\n  Application/PIDF+XML;charset=utf-8\r\n\r\n{PLACE}\r\n--b--\r\nepilogue"
    )
    .replace("\r\n", break_)
}

fn applied(message: &Message, edits: &mut Edits) -> (String, String) {
    let out = edits.apply(message);
    let again = Message::parse(out, Framing::Datagram, &Limits::default()).unwrap();
    let typed = again.value(HeaderName::ContentType).map_or(String::new(), |it| String::from_utf8_lossy(it).into());
    let length = again.value(HeaderName::ContentLength).map(|it| String::from_utf8_lossy(it).into_owned());
    let body = String::from_utf8_lossy(again.body()).into_owned();
    assert_eq!(length.unwrap(), body.len().to_string(), "{body}");
    (typed, body)
}

#[test]
fn one_thing_is_one_part() {
    assert_eq!(parts(&message("Application/SDP ; x=y", SDP)), [(Kind::Sdp, SDP)]);
    assert_eq!(parts(&message("application/isup", "x")), [(Kind::Other, "x")]);
    assert_eq!(parts(&message("application/sdp", "")), []);
    assert_eq!(parts(&message("application/EmergencyCallData.ProviderInfo+xml", "x")), [(Kind::Location, "x")]);
    assert_eq!(parts(&message("application/sdpx", "x")), [(Kind::Other, "x")]);
    let untyped = Message::parse(
        format!("INVITE sip:a@b SIP/2.0\r\n\r\n{SDP}").into_bytes().into(),
        Framing::Datagram,
        &Limits::default(),
    );
    assert_eq!(parts(&untyped.unwrap()), [(Kind::Sdp, SDP)]);
}

#[test]
fn parts_are_found_whatever_the_line_ends() {
    for line_break in ["\r\n", "\n"] {
        for boundary in ["b", "\"b\""] {
            let it = message(&format!("multipart/mixed; charset=x; BOUNDARY={boundary}"), &mixed(line_break));
            let sdp = SDP.replace("\r\n", line_break);
            assert_eq!(parts(&it), [(Kind::Sdp, &*sdp), (Kind::Location, PLACE)], "{line_break:?}");
        }
    }
}

#[test]
fn broken_multiparts_are_read_as_far_as_they_go() {
    let typed = "multipart/mixed;boundary=b";
    for (body, wanted) in [
        ("--b\r\n\r\nx\r\n--b--", vec![(Kind::Other, "x")]),
        ("--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n", vec![(Kind::Sdp, "v=0\r\n")]),
        ("--b\r\nContent-Type: application/sdp\r\n\r\n--b--", vec![(Kind::Sdp, "")]),
        ("--b\r\nContent-Type: application/sdp", vec![(Kind::Sdp, "")]),
        ("--b\r\n--b\r\n--b--", vec![(Kind::Other, ""), (Kind::Other, "")]),
        ("--bb\r\nx", vec![(Kind::Other, "--bb\r\nx")]),
        ("--b--\r\nx", vec![(Kind::Other, "--b--\r\nx")]),
        ("--b", vec![(Kind::Other, "")]),
    ] {
        assert_eq!(parts(&message(typed, body)), wanted, "{body:?}");
    }
    assert_eq!(parts(&message("multipart/mixed", "--b\r\n\r\nx")), [(Kind::Other, "--b\r\n\r\nx")], "no boundary");
}

/// What is not looked at cannot be told to hold no place.
#[test]
fn no_place_hides_among_many_parts_or_inside_of_one() {
    let typed = "multipart/mixed;boundary=b";
    let place = format!("--b\r\nContent-Type: application/pidf+xml\r\n\r\n{PLACE}\r\n--b--");
    let sdp = format!("--b\r\nContent-Type: application/sdp\r\n\r\n{SDP}\r\n");
    let many = sdp.clone() + &"--b\r\n\r\nx\r\n".repeat(MAX_PARTS) + &place;
    let nested = format!("{sdp}--b\r\nContent-Type: multipart/mixed;boundary=c\r\n\r\n{place}\r\n--b--");
    for body in [many, nested] {
        let it = message(typed, &body);
        assert!(parts(&it).len() <= MAX_PARTS);
        let mut edits = Edits::new();
        Parts::of(&it).strip(&it, Kind::Location, &mut edits);
        edit_length(&it, false, &mut edits);
        assert_eq!(applied(&it, &mut edits), ("application/sdp".to_owned(), format!("{SDP}\r\n")));
    }
    let it = message(typed, &("--b\r\n\r\nx\r\n".repeat(MAX_PARTS) + &place));
    let mut edits = Edits::new();
    Parts::of(&it).strip(&it, Kind::Location, &mut edits);
    edit_length(&it, false, &mut edits);
    assert_eq!(applied(&it, &mut edits), (String::new(), String::new()));
}

#[test]
fn what_is_left_alone_becomes_the_body() {
    let it = message("multipart/mixed;boundary=b", &mixed("\r\n"));
    let mut edits = Edits::new();
    Parts::of(&it).strip(&it, Kind::Location, &mut edits);
    edit_length(&it, false, &mut edits);
    assert_eq!(applied(&it, &mut edits), ("application/sdp".to_owned(), format!("{SDP}\r\n")));
    Parts::of(&it).strip(&it, Kind::Sdp, &mut edits);
    edit_length(&it, false, &mut edits);
    assert_eq!(applied(&it, &mut edits), ("Application/PIDF+XML;charset=utf-8".to_owned(), PLACE.to_owned()));
    Parts::of(&it).strip(&it, Kind::Other, &mut edits);
    assert!(edits.is_empty());
}

#[test]
fn of_three_parts_two_stay_in_their_frame() {
    let body = mixed("\r\n").replace("--b--", "--b\r\nContent-Type: application/isup\r\n\r\nISUP\r\n--b--");
    let it = message("multipart/mixed;boundary=b", &body);
    let mut edits = Edits::new();
    Parts::of(&it).strip(&it, Kind::Location, &mut edits);
    edit_length(&it, false, &mut edits);
    let (typed, left) = applied(&it, &mut edits);
    assert_eq!(parts(&message(&typed, &left)), [(Kind::Sdp, SDP), (Kind::Other, "ISUP")]);
    let head = body.find("--b  ").unwrap();
    let tail = body.find("--b\r\nContent-Type: application/isup").unwrap();
    assert_eq!(left, body[..head].to_owned() + &body[tail..]);
}

#[test]
fn a_body_that_goes_leaves_no_type_behind() {
    let it = message("application/sdp", SDP);
    let mut edits = Edits::new();
    remove(&it, &mut edits);
    assert!(edits.covers(it.body_span()) && edits.touches(it.body_span()));
    edit_length(&it, false, &mut edits);
    assert_eq!(applied(&it, &mut edits), (String::new(), String::new()));
}

#[test]
fn lengths_follow_edits_that_overlap() {
    let it = message("application/sdp", SDP);
    let body = it.body_span();
    let mut edits = Edits::new();
    for (start, end, text) in [(2, 9, "abc"), (4, 12, "x"), (4, 4, "yy"), (30, 30, "end")] {
        edits.replace(Span { start: body.start + start, end: body.start + end }, text.as_bytes());
    }
    edits.append_header(&it, "X-More", b"not in the body");
    let total = edits.len_after(&it);
    let within = edits.len_within(body);
    let out = edits.clone().apply(&it);
    assert_eq!(out.len(), total);
    edit_length(&it, false, &mut edits);
    let (_, text) = applied(&it, &mut edits);
    assert_eq!(text.len(), within);
    // What another matter has said of the length stays.
    edits.set_header(&it, HeaderName::ContentLength, "Content-Length", b"7");
    edits.insert(body.start, b"more");
    edit_length(&it, true, &mut edits);
    assert_eq!(String::from_utf8_lossy(&edits.apply(&it)).matches("Content-Length: 7\r\n").count(), 1);
}
