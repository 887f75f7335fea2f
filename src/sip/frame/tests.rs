use proptest::prelude::*;

use super::*;

const LIMITS: FrameLimits = FrameLimits { max_header_bytes: 2_000, max_message_bytes: 4_000 };

/// Frames and, at the end, the fault of a stream that comes in the given pieces.
fn frames<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Frame>, Option<Unframed>) {
    let mut framer = Framer::new(LIMITS);
    let mut frames = Vec::new();
    for piece in pieces {
        if let Err(unframed) = framer.feed(piece, |frame| frames.push(frame)) {
            return (frames, Some(unframed));
        }
    }
    (frames, None)
}

fn messages(input: &[u8]) -> Vec<Vec<u8>> {
    let (frames, fault) = frames([input]);
    assert_eq!(fault, None);
    frames
        .into_iter()
        .filter_map(|frame| match frame {
            Frame::Message(bytes) => Some(bytes.to_vec()),
            Frame::Ping => None,
        })
        .collect()
}

fn fault(input: &[u8]) -> Unframed {
    frames([input]).1.expect("the stream should be given up")
}

#[test]
fn two_messages_in_one_piece_come_out_as_two() {
    let one = b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 3\r\n\r\nabc";
    let two = b"SIP/2.0 200 OK\r\nl:0\r\n\r\n";
    let both = [one.as_slice(), two.as_slice()].concat();
    assert_eq!(messages(&both), [one.to_vec(), two.to_vec()]);
}

#[test]
fn content_length_is_found_in_every_form() {
    for field in [
        "Content-Length: 4",
        "content-length:4",
        "CONTENT-LENGTH \t:  0004  ",
        "l: 4",
        "L:4",
        "Content-Length:\r\n 4",
        "Content-Length: 4\r\n\t",
        "Content-Length: 4\r\nX: y\r\nl: 4",
        "Subject: Content-Length: 9\r\n l: 9\r\nl: 4",
    ] {
        let message = format!("INVITE sip:a SIP/2.0\r\n{field}\r\nCall-ID: x\r\n\r\nbody");
        assert_eq!(messages(message.as_bytes()), [message.as_bytes()], "{field}");
    }
}

#[test]
fn the_start_line_and_other_fields_are_not_content_length() {
    for head in [
        "l: 5\r\nl: 0",
        "CANCEL sip:a SIP/2.0\r\nContent-Lengths: 7\r\nLa: 7\r\nContent-Length-X: 7",
        "X sip:a SIP/2.0\r\nContact: <sip:content-length:9@a>",
    ] {
        let message = format!("{head}\r\n\r\n");
        assert_eq!(messages(message.as_bytes()), [message.as_bytes()], "{head}");
    }
}

#[test]
fn a_message_without_content_length_has_no_body() {
    let input = b"OPTIONS sip:a SIP/2.0\r\nVia: v\r\n\r\nOPTIONS sip:b SIP/2.0\r\n\r\n";
    assert_eq!(messages(input).len(), 2);
}

#[test]
fn line_feeds_alone_end_lines() {
    let input = b"OPTIONS sip:a SIP/2.0\nContent-Length: 2\n\nhi";
    assert_eq!(messages(input), [input.to_vec()]);
}

#[test]
fn line_ends_before_a_message_are_skipped_and_double_ones_are_pings() {
    let message = b"OPTIONS sip:a SIP/2.0\r\n\r\n";
    let input = [b"\r\n\r\n\r\n\n\r".as_slice(), message, b"\r\n\r\n\r\n\r\n"].concat();
    let expected = vec![Frame::Ping, Frame::Message(Bytes::from_static(message)), Frame::Ping, Frame::Ping];
    assert_eq!(frames([input.as_slice()]).0, expected);
    assert_eq!(frames(input.chunks(1)).0, expected);
}

#[test]
fn bad_lengths_end_the_stream_and_give_the_head() {
    for (field, expected) in [
        ("Content-Length: -1", FrameFault::ContentLengthInvalid),
        ("Content-Length: +1", FrameFault::ContentLengthInvalid),
        ("Content-Length: four", FrameFault::ContentLengthInvalid),
        ("Content-Length: 1 2", FrameFault::ContentLengthInvalid),
        ("Content-Length: 1,1", FrameFault::ContentLengthInvalid),
        ("Content-Length:", FrameFault::ContentLengthInvalid),
        ("l: 1\r\nContent-Length: 2", FrameFault::ContentLengthConflict),
        ("l: x\r\nl: 1", FrameFault::ContentLengthInvalid),
        ("l: 3999", FrameFault::MessageTooLarge),
        ("l: 99999999999999999999999999", FrameFault::MessageTooLarge),
    ] {
        let head = format!("INVITE sip:a SIP/2.0\r\n{field}\r\n\r\n");
        let got = fault(format!("{head}body").as_bytes());
        assert_eq!((got.fault, got.head.as_ref()), (expected, head.as_bytes()), "{field}");
    }
}

#[test]
fn endless_headers_are_given_up_at_the_limit_however_they_come() {
    let input = [b"INVITE sip:a SIP/2.0\r\n".as_slice(), &b"X: y\r\n".repeat(1_000)].concat();
    for size in [1, 7, 1_999, input.len()] {
        let got = frames(input.chunks(size)).1.expect("too long");
        assert_eq!(got.fault, FrameFault::HeaderTooLarge);
        assert_eq!(got.head, input[..LIMITS.max_header_bytes]);
    }
}

#[test]
fn the_largest_message_passes_and_one_more_byte_does_not() {
    let head = "INVITE sip:a SIP/2.0\r\nl: 39XX\r\n\r\n";
    let room = LIMITS.max_message_bytes - head.len();
    let message = |body: usize| {
        let head = head.replace("39XX", &body.to_string());
        [head.into_bytes(), vec![b'.'; body]].concat()
    };
    assert_eq!(messages(&message(room)), [message(room)]);
    assert_eq!(fault(&message(room + 1)).fault, FrameFault::MessageTooLarge);
}

#[test]
fn nothing_comes_after_a_fault() {
    let mut framer = Framer::new(LIMITS);
    let mut count = 0;
    assert!(framer.feed(b"A b C\r\nl: x\r\n\r\n", |_| count += 1).is_err());
    assert_eq!(framer.feed(b"OPTIONS sip:a SIP/2.0\r\n\r\n", |_| count += 1), Ok(()));
    assert_eq!(count, 0);
}

#[test]
fn no_memory_is_kept_between_messages() {
    let mut framer = Framer::new(LIMITS);
    let message = b"OPTIONS sip:a SIP/2.0\r\nl: 2\r\n\r\nhi";
    for byte in message.chunks(1) {
        assert_eq!(framer.tail.capacity() > 0, framer.is_partial());
        framer.feed(byte, |_| ()).expect("a good message");
    }
    assert!(!framer.is_partial());
    assert_eq!(framer.tail.capacity(), 0);
}

/// A piece of a stream: mostly good messages, some noise.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let message = (
        proptest::collection::vec("[A-Za-z-]{1,12}: ?[ -~]{0,30}(\r\n [ -~]{0,10})?", 0..6),
        proptest::collection::vec(any::<u8>(), 0..60),
        prop_oneof![Just("Content-Length"), Just("l"), Just("cOnTent-lEngth \t")],
        prop_oneof![Just("\r\n"), Just("\n")],
    )
        .prop_map(|(fields, body, name, end)| {
            let mut bytes = format!("INVITE sip:a SIP/2.0{end}").into_bytes();
            for field in fields {
                bytes.extend(format!("{field}{end}").bytes());
            }
            bytes.extend(format!("{name}: {}{end}{end}", body.len()).bytes());
            bytes.extend(body);
            bytes
        });
    prop_oneof![
        8 => message,
        2 => "[\r\n]{0,6}".prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..40),
        1 => "[lL\r\n: 0-9x-]{0,40}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #[test]
    fn any_split_of_a_stream_gives_the_same_frames(
        pieces in proptest::collection::vec(piece(), 0..8),
        sizes in proptest::collection::vec(1_usize..50, 1..200),
    ) {
        let stream = pieces.concat();
        let mut rest = stream.as_slice();
        let mut split = Vec::new();
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at((*size).min(rest.len()));
            split.push(piece);
            rest = after;
        }
        prop_assert_eq!(frames(split), frames([stream.as_slice()]));
    }
}
