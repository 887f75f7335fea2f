//! A call drawn as a ladder: a column for each peer and one for the edge between them, an arrow for each message.

use crate::admin::{TraceMessage, TraceShown};

/// Columns of a terminal that a ladder takes at most, unless there are many peers.
const WIDTH: usize = 110;

/// Characters that the time takes at the left.
const TIME: usize = 11;

/// From one lifeline to the next, at least and at most.
const GAPS: std::ops::RangeInclusive<usize> = 22..=40;

/// Where the edge stands: behind the caller.
const EDGE: usize = 1;

/// Which characters draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drawing {
    Ascii,
    /// Box-drawing characters.
    Utf8,
}

/// What a message is, in a few words.
pub(super) fn label(message: &TraceMessage) -> String {
    let mut label = match (&message.method, message.status) {
        (Some(method), _) => method.clone(),
        (None, Some(status)) => {
            let phrase = message.phrase.as_deref().unwrap_or_default();
            let method = message.cseq.split_whitespace().nth(1).unwrap_or_default();
            let of = if method == "INVITE" { String::new() } else { format!(" ({method})") };
            format!("{status} {phrase}{of}")
        }
        (None, None) => "?".to_owned(),
    };
    if message.sdp {
        label.push_str(" sdp");
    }
    if message.again {
        label.push_str(" (again)");
    }
    label
}

/// What is said beside a message.
pub(super) fn notes(message: &TraceMessage) -> Vec<String> {
    let reason = message.reason.as_ref().map(|reason| format!("Reason: {reason}"));
    let meaning = message.meaning.as_ref().map(|meaning| format!("Microsoft means: {meaning}"));
    let cut = message.cut.then(|| format!("only the beginning of its {} bytes is kept", message.bytes));
    [reason, meaning, cut].into_iter().flatten().collect()
}

/// All about a call: who, the ladder, how it ended, and the messages where they were asked for.
pub(super) fn story(shown: &TraceShown, drawing: Drawing) -> String {
    let mut out = format!("call {}  began {}\n", shown.call, shown.began);
    if let (Some(caller), Some(called)) = (&shown.caller, &shown.called) {
        out += &format!("{caller} calls {called}\n");
    }
    for (index, call_id) in shown.call_ids.iter().enumerate() {
        out += &format!("{} {call_id}\n", if index == 0 { "Call-ID" } else { "       " });
    }
    for peer in &shown.peers {
        out += &format!("{} at {}\n", peer.name, peer.address);
    }
    if !shown.whole {
        out += "what came first is not kept any more\n";
    }
    out.push('\n');
    out += &draw(shown, drawing);
    if let Some(ended) = &shown.ended {
        out.push('\n');
        for words in &ended.words {
            out += &format!("{words}\n");
        }
    }
    for message in shown.messages.iter().filter(|message| message.text.is_some()) {
        out += &whole(shown, message);
    }
    out
}

/// A message as it was.
fn whole(shown: &TraceShown, message: &TraceMessage) -> String {
    let TraceMessage { local, remote, transport, bytes, .. } = message;
    let peer = shown.peers.get(message.peer).map_or("?", |peer| peer.name.as_str());
    let ms = message.at_us as f64 / 1_000.0;
    let way = match message.received {
        true => format!("{peer} to {}: {remote} > {local}", shown.node),
        false => format!("{} to {peer}: {local} > {remote}", shown.node),
    };
    let text = message.text.as_deref().unwrap_or_default().replace("\r\n", "\n");
    // What came from a peer must not steer the terminal.
    let text: String = text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '?' } else { c }).collect();
    format!("\n--- {ms:.1} ms, {way}, {transport}, {bytes} bytes\n{}\n", text.trim_end())
}

/// The ladder alone.
pub(super) fn draw(shown: &TraceShown, drawing: Drawing) -> String {
    let mut columns: Vec<&str> = shown.peers.iter().map(|peer| peer.name.as_str()).collect();
    columns.insert(EDGE.min(columns.len()), &shown.node);
    let gap = (WIDTH.saturating_sub(TIME) / columns.len().max(1)).clamp(*GAPS.start(), *GAPS.end());
    let sheet = Sheet { columns, gap, drawing };
    let mut out = sheet.title();
    for message in &shown.messages {
        out += &sheet.rung(message);
        for note in notes(message) {
            out += &format!("{:TIME$}  {note}\n", "");
        }
    }
    out
}

/// The measures of a ladder.
struct Sheet<'a> {
    columns: Vec<&'a str>,
    gap: usize,
    drawing: Drawing,
}

impl Sheet<'_> {
    /// Where a lifeline stands.
    const fn place(&self, column: usize) -> usize {
        TIME + self.gap / 2 + column * self.gap
    }

    const fn width(&self) -> usize {
        TIME + self.gap * self.columns.len()
    }

    fn title(&self) -> String {
        let mut line = vec![' '; self.width()];
        put(&mut line, TIME - 3, "ms");
        for (index, name) in self.columns.iter().enumerate() {
            let name: String = name.chars().take(self.gap - 2).collect();
            put(&mut line, self.place(index).saturating_sub(name.chars().count() / 2), &name);
        }
        finish(&line) + &finish(&self.lifelines())
    }

    fn lifelines(&self) -> Vec<char> {
        let mut line = vec![' '; self.width()];
        for index in 0..self.columns.len() {
            put(&mut line, self.place(index), if self.drawing == Drawing::Utf8 { "│" } else { "|" });
        }
        line
    }

    fn rung(&self, message: &TraceMessage) -> String {
        let peer = if message.peer < EDGE { message.peer } else { message.peer + 1 };
        let edge = EDGE.min(self.columns.len() - 1);
        let (from, to) = if message.received { (peer, edge) } else { (edge, peer) };
        let mut line = self.lifelines();
        put(&mut line, 0, &format!("{:>9.1}", message.at_us as f64 / 1_000.0));
        let (left, right) = (self.place(from.min(to)), self.place(from.max(to)));
        let (dash, ahead, back) = match self.drawing {
            Drawing::Ascii => ('-', '>', '<'),
            Drawing::Utf8 => ('─', '▶', '◀'),
        };
        let room = (right - left).saturating_sub(1);
        let mut arrow = vec![dash; room];
        let (head, mark) = if from < to { (room.saturating_sub(1), ahead) } else { (0, back) };
        if let Some(cell) = arrow.get_mut(head) {
            *cell = mark;
        }
        let label = format!(" {} ", shortened(&label(message), room.saturating_sub(4)));
        put(&mut arrow, room.saturating_sub(label.chars().count()) / 2, &label);
        put(&mut line, left + 1, &arrow.into_iter().collect::<String>());
        finish(&line)
    }
}

fn put(line: &mut [char], at: usize, text: &str) {
    line.iter_mut().skip(at).zip(text.chars()).for_each(|(cell, letter)| *cell = letter);
}

fn shortened(label: &str, room: usize) -> String {
    if label.chars().count() <= room {
        return label.to_owned();
    }
    let mut short: String = label.chars().take(room.saturating_sub(2)).collect();
    short.push_str("..");
    short
}

fn finish(line: &[char]) -> String {
    let text: String = line.iter().collect();
    format!("{}\n", text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::{TraceEnd, TracePeer};

    fn message(at_us: u64, peer: usize, received: bool, what: &str) -> TraceMessage {
        let status: Option<u16> = what.split(' ').next().and_then(|word| word.parse().ok());
        TraceMessage {
            at_us,
            peer,
            received,
            method: status.is_none().then(|| what.to_owned()),
            status,
            phrase: status.is_some().then(|| what[4..].to_owned()),
            cseq: "1 INVITE".to_owned(),
            ..TraceMessage::default()
        }
    }

    fn shown() -> TraceShown {
        let peer = |name: &str| TracePeer { name: name.to_owned(), address: format!("{name}:1"), trunk: None };
        let mut busy = message(30_250, 2, true, "486 Busy Here");
        busy.reason = Some("Q.850;cause=17".to_owned());
        busy.meaning = Some("the user is busy".to_owned());
        let mut again = message(500_000, 0, true, "INVITE");
        (again.again, again.sdp) = (true, true);
        TraceShown {
            call: "0123456789abcdef".to_owned(),
            call_ids: vec!["near".to_owned(), "far".to_owned()],
            node: "edge-1".to_owned(),
            whole: true,
            caller: Some("1000".to_owned()),
            called: Some("2001".to_owned()),
            began: "2026-11-22T09:00:01Z".to_owned(),
            peers: vec![peer("pbx1"), peer("teams"), peer("carrier")],
            messages: vec![message(0, 0, true, "INVITE"), message(200, 2, false, "INVITE"), busy, again],
            ended: Some(TraceEnd { words: vec!["refused with 486".to_owned()], ..TraceEnd::default() }),
            ..TraceShown::default()
        }
    }

    #[test]
    fn a_ladder_has_the_edge_between_its_peers() {
        let wanted =
            "        ms           pbx1                   edge-1                   teams                  carrier
                       |                       |                       |                       |
      0.0              |------- INVITE ------->|                       |                       |
      0.2              |                       |------------------- INVITE ------------------->|
     30.2              |                       |<--------------- 486 Busy Here ----------------|
             Reason: Q.850;cause=17
             Microsoft means: the user is busy
    500.0              |- INVITE sdp (again) ->|                       |                       |
";
        let drawn = draw(&shown(), Drawing::Ascii);
        assert_eq!(drawn, wanted, "\n{drawn}");
    }

    #[test]
    fn a_story_tells_who_and_how_it_ended() {
        let text = story(&shown(), Drawing::Utf8);
        for line in [
            "call 0123456789abcdef  began 2026-11-22T09:00:01Z",
            "1000 calls 2001",
            "Call-ID near",
            "        far",
            "carrier at carrier:1",
            "refused with 486",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
        assert!(text.contains("─ INVITE ─") && !text.contains("not kept"), "{text}");
    }

    #[test]
    fn messages_are_printed_and_steer_no_terminal() {
        let mut shown = shown();
        shown.messages[0].text = Some("INVITE sip:a SIP/2.0\r\nSubject: \u{1b}[2Jx\r\n\r\n".to_owned());
        let text = story(&shown, Drawing::Ascii);
        assert!(text.contains("\n--- 0.0 ms, pbx1 to edge-1: "), "{text}");
        assert!(text.ends_with("INVITE sip:a SIP/2.0\nSubject: ?[2Jx\n"), "{text}");
    }

    #[test]
    fn any_number_of_peers_can_be_drawn() {
        for peers in [1, 2, 9] {
            let mut shown = shown();
            shown.peers = (0..peers).map(|_| TracePeer { name: "x".repeat(60), ..TracePeer::default() }).collect();
            shown.messages = (0..peers).map(|peer| message(1, peer, false, "INVITE")).collect();
            assert_eq!(draw(&shown, Drawing::Utf8).lines().count(), 2 + peers);
        }
        assert_eq!(draw(&TraceShown::default(), Drawing::Utf8).lines().count(), 2, "none at all");
    }
}
