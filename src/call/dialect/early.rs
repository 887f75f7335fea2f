//! What a peer is shown of provisional answers. What becomes of it on the way from one leg to the other.
//!
//! Several phones may ring at once, each in an early dialog of its own (a To tag). Which of their 18x a caller gets to
//! see is up to the [`Ringing`] of its trunk; the 2xx may be of any of them, or of a new one.

use bytes::Bytes;
use smallvec::SmallVec;

use crate::sip::edit::Edits;
use crate::sip::{HeaderName, Message, Span};
use crate::trunk::dialect::early::Ringing;

/// Early dialogs of one call that are told apart; more are taken for one.
const MAX_TOLD_APART: usize = 16;

/// What a caller has been shown of the early dialogs of a call.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// The early dialog that came first.
    first: Option<u64>,
    /// The early dialog whose media the caller hears.
    media: Option<u64>,
    /// Those that were shown as ringing.
    ringing: SmallVec<[u64; 2]>,
}

/// One provisional answer.
#[derive(Clone, Copy, Debug)]
pub struct Sign {
    pub status: u16,
    /// A hash of the To tag.
    pub dialog: u64,
    /// It has a body.
    pub media: bool,
}

/// What the caller is shown of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    AsItIs,
    /// As a 180 without a body.
    AsRinging,
    Nothing,
}

impl Shown {
    /// Whether nothing was shown yet.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Decides what becomes of an answer.
    pub fn decide(&mut self, ringing: Ringing, sign: Sign) -> Show {
        if sign.status == 199 {
            return self.end(ringing, sign.dialog);
        }
        let show = match ringing {
            Ringing::Pass => self.pass(sign),
            Ringing::First => self.only_one(sign),
            Ringing::To180 if sign.status == 183 => self.ring_once(sign),
            Ringing::To180 => {
                if sign.status == 180 {
                    self.ring_once(sign);
                }
                Show::AsItIs
            }
            Ringing::Only180 => self.ring_once(sign),
        };
        if show != Show::Nothing {
            self.first.get_or_insert(sign.dialog);
            if sign.media && show == Show::AsItIs {
                self.media = Some(sign.dialog);
            }
        }
        show
    }

    /// An early dialog has ended (RFC 6228): another one may take its place.
    fn end(&mut self, ringing: Ringing, dialog: u64) -> Show {
        let was_shown = self.first == Some(dialog) || self.media == Some(dialog);
        self.media = self.media.filter(|&media| media != dialog);
        if ringing == Ringing::First {
            self.first = self.first.filter(|&first| first != dialog);
        }
        match ringing {
            Ringing::Pass => Show::AsItIs,
            Ringing::First if was_shown => Show::AsItIs,
            Ringing::First | Ringing::Only180 | Ringing::To180 => Show::Nothing,
        }
    }

    /// All, but what would have a phone ring that plays the media of another early dialog.
    fn pass(&self, sign: Sign) -> Show {
        match self.media {
            Some(media) if media != sign.dialog && !sign.media => Show::Nothing,
            _ => Show::AsItIs,
        }
    }

    fn only_one(&self, sign: Sign) -> Show {
        let chosen = self.media.or(self.first.filter(|_| !sign.media));
        if chosen.is_none_or(|chosen| chosen == sign.dialog) { Show::AsItIs } else { Show::Nothing }
    }

    fn ring_once(&mut self, sign: Sign) -> Show {
        if self.ringing.contains(&sign.dialog) || self.ringing.len() >= MAX_TOLD_APART {
            return Show::Nothing;
        }
        self.ringing.push(sign.dialog);
        Show::AsRinging
    }
}

/// The answer as a 180 without a body and what describes one.
pub fn as_ringing(response: &Message, edits: &mut Edits) -> Bytes {
    without_body(response, Some(b"180 Ringing"), edits)
}

/// The answer without its body and what describes one, and with another status and reason.
pub fn without_body(response: &Message, status: Option<&[u8]>, edits: &mut Edits) -> Bytes {
    const DESCRIBES: [&[u8]; 4] = [b"Content-Disposition", b"Content-Encoding", b"Content-Language", b"MIME-Version"];
    edits.clear();
    if let Some(status) = status {
        edits.replace(status_span(response), status);
    }
    for line in response.lines() {
        let named = || DESCRIBES.iter().any(|name| response.name_at(line).eq_ignore_ascii_case(name));
        match line.name {
            HeaderName::ContentType => edits.remove_line(line),
            HeaderName::ContentLength => edits.set_line(line, b"0"),
            HeaderName::Other if named() => edits.remove_line(line),
            _ => {}
        }
    }
    edits.remove(response.body_span());
    edits.apply(response)
}

/// Where status and reason of an answer stand.
pub fn status_span(response: &Message) -> Span {
    // `SIP/2.0 ` is the same in every answer that is read.
    Span { start: 8, end: first_line_end(response) }
}

/// Where the line break of the first line begins.
fn first_line_end(response: &Message) -> u16 {
    let head = response.at(Span { start: 0, end: response.header_block().start });
    let len = head.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(head.len());
    // The head of a message is shorter than 65,536 bytes.
    len as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers as `status dialog`, with `+` for a body; what the caller sees of each.
    fn run(ringing: Ringing, answers: &[&str]) -> String {
        let mut shown = Shown::default();
        let mut seen = Vec::new();
        for answer in answers {
            let (status, dialog) = answer.trim_end_matches('+').split_once(' ').unwrap();
            let sign = Sign {
                status: status.parse().unwrap(),
                dialog: u64::from(dialog.as_bytes()[0]),
                media: answer.ends_with('+'),
            };
            seen.push(match shown.decide(ringing, sign) {
                Show::AsItIs => status.to_owned(),
                Show::AsRinging => "ring".to_owned(),
                Show::Nothing => "-".to_owned(),
            });
        }
        seen.join(" ")
    }

    #[test]
    fn each_policy_shows_its_part_of_several_early_dialogs() {
        use Ringing::{First, Only180, Pass, To180};
        let forks = ["180 a", "180 b", "183 c+", "180 a", "183 c+", "183 b+", "180 c", "181 d", "183 d"];
        for (ringing, wanted) in [
            // Once there is media, ringing elsewhere is not shown.
            (Pass, "180 180 183 - 183 183 - - -"),
            (First, "180 - 183 - 183 - 180 - -"),
            (To180, "180 180 ring 180 - - 180 181 ring"),
            (Only180, "ring ring ring - - - - ring -"),
        ] {
            assert_eq!(run(ringing, &forks), wanted, "{ringing:?}");
        }
    }

    #[test]
    fn a_silent_183_is_a_180_and_180_with_media_stays() {
        assert_eq!(run(Ringing::To180, &["183 a+", "180 b+", "183 b+"]), "ring 180 -");
        assert_eq!(run(Ringing::Only180, &["183 a+", "180 b+", "182 a"]), "ring ring -");
    }

    #[test]
    fn the_end_of_an_early_dialog_makes_room_for_another() {
        for (ringing, wanted) in [
            (Ringing::Pass, "183 199 180"),
            (Ringing::First, "183 199 180"),
            (Ringing::To180, "ring - 180"),
            (Ringing::Only180, "ring - ring"),
        ] {
            assert_eq!(run(ringing, &["183 a+", "199 a", "180 b"]), wanted, "{ringing:?}");
        }
        assert_eq!(run(Ringing::First, &["180 a", "199 b", "180 b"]), "180 - -");
    }

    #[test]
    fn a_ringing_answer_keeps_all_but_its_body() {
        let text = "SIP/2.0 183 Session Progress\r\nTo: <sip:b@h>;tag=c\r\nContact: <sip:x@y>\r\nc: application/sdp\r\n\
            Content-Disposition: session\r\nContent-Language: en\r\nMIME-Version: 1.0\r\nX-Own: 1\r\nl: 5\r\n\r\nv=0\r\n";
        let message = Message::reread(&Bytes::from(text)).unwrap();
        let ringing = as_ringing(&message, &mut Edits::new());
        assert_eq!(
            std::str::from_utf8(&ringing).unwrap(),
            "SIP/2.0 180 Ringing\r\nTo: <sip:b@h>;tag=c\r\nContact: <sip:x@y>\r\nX-Own: 1\r\nl: 0\r\n\r\n"
        );
    }
}
