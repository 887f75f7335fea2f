use bytes::Bytes;
use proptest::prelude::*;

use super::*;

const WRITING: Writing<'_> = Writing { host: b"edge.example", redacts: false };

fn message(lines: &[u8]) -> Message {
    let text = [b"INVITE sip:+4930@edge.example SIP/2.0\r\n", lines, b"\r\n"].concat();
    Message::reread(&Bytes::from(text)).unwrap()
}

#[test]
fn causes_and_reasons_agree_both_ways() {
    for (reason, cause, word, _) in Reason::ALL {
        assert_eq!((reason.cause(), reason.word()), (cause, word));
        assert_eq!((Reason::of_cause(cause), Reason::of_word(word.as_bytes())), (reason, reason));
    }
    for word in ["follow-me", "out-of-service", "time-of-day", "do-not-disturb", "away", "x-own", ""] {
        assert_eq!(Reason::of_word(word.as_bytes()), Reason::Unknown, "{word}");
    }
}

#[test]
fn placeholders_leave_room_for_those_who_are_named() {
    let chain = owned(&of_diversion(&message(b"Diversion: <sip:1@a>;counter=900, <sip:2@a>;counter=900\r\n")));
    let mut out = Vec::new();
    WRITING.write_history(&chain, b"+4930", &mut out);
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.matches(";index=").count(), MOST);
    for user in ["sip:1@edge.example", "sip:2@edge.example", "sip:+4930@edge.example"] {
        assert_eq!(text.matches(user).count(), 1, "{user}");
    }
}

fn owned(chain: &Chain<'_>) -> Vec<Step<'static>> {
    let own = |step: &Step<'_>| Step {
        display: b"",
        user: Cow::Owned(step.user.to_vec()),
        nobody: step.nobody,
        private: step.private,
        reason: step.reason,
        counter: step.counter,
    };
    chain.iter().map(own).collect()
}

fn any_chain() -> impl Strategy<Value = Vec<Step<'static>>> {
    let reason = (0..Reason::ALL.len()).prop_map(|index| Reason::ALL[index].0);
    let user =
        prop_oneof!["\\+[0-9]{3,15}(;ext=[0-9]{1,5})?", "[a-z][a-z0-9.!~*'()&+$,?/-]{0,20}", Just(String::new())];
    let step = (user, any::<bool>(), reason, 1_u16..4).prop_map(|(user, private, reason, counter)| Step {
        display: b"",
        user: Cow::Owned(user.into_bytes()),
        nobody: false,
        private,
        reason,
        counter,
    });
    proptest::collection::vec(step, 1..6)
}

proptest! {
    /// Diversion, History-Info, and Diversion again: nobody is lost, nor why, how often, and who wants to stay private.
    #[test]
    fn diversions_come_back_from_history_as_they_were(chain in any_chain()) {
        let mut lines = Vec::new();
        WRITING.write_diversion(&chain, &mut lines);
        let read = message(&lines);
        let first = owned(&of_diversion(&read));
        prop_assert_eq!(&first, &chain);
        let mut lines = Vec::new();
        WRITING.write_history(&first, b"+4930", &mut lines);
        let read = message(&lines);
        prop_assert!(entries(&read).iter().all(|entry| entry.sound), "{}", String::from_utf8_lossy(&lines));
        prop_assert_eq!(&owned(&of_history(&read)), &chain, "{}", String::from_utf8_lossy(&lines));
        prop_assert_eq!(count(&read), chain.iter().map(|step| u32::from(step.counter)).sum::<u32>());
    }

    /// Whatever a value holds, what is written of it is well-formed, and is read the same.
    #[test]
    fn history_is_written_well_formed(value in "[ -~\u{201c}\u{201d}]{0,60}", reason in "[ -;=?-~\u{201c}\u{201d}]{0,40}") {
        for text in [value.clone(), format!("<sip:+441@a.example;user=phone?Reason={reason}>;index=1")] {
            let Some(entry) = Entry::read(text.as_bytes()) else { continue };
            let mut out = Vec::new();
            entry.write(b"edge.example", true, false, &mut out);
            let again = Entry::read(&out);
            let again = again.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&out)));
            prop_assert!(again.sound, "{} of {}", String::from_utf8_lossy(&out), text);
            prop_assert_eq!(again.reason(), entry.reason());
        }
    }
}
