//! A bounded record of the messages that stand-ins sent and got, printed as a ladder.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Widest ladder, in columns of a terminal.
const WIDTH: usize = 100;
/// Columns that the time takes at the left.
const TIME_WIDTH: usize = 9;

/// One message on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rung {
    /// Since the ladder was made.
    pub at: Duration,
    /// Column that sent it.
    pub from: String,
    /// Column that it went to.
    pub to: String,
    pub call_id: String,
    /// Method or status with CSeq.
    pub label: String,
}

/// Which characters draw the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Drawing {
    Ascii,
    /// Box-drawing characters.
    #[default]
    Utf8,
}

/// The recorder that all stand-ins of one lab share.
#[derive(Clone, Debug)]
pub struct Ladder {
    start: Instant,
    limit: usize,
    ring: Arc<Mutex<Ring>>,
}

#[derive(Debug, Default)]
struct Ring {
    rungs: VecDeque<Rung>,
    total: u64,
}

impl Ladder {
    /// A recorder that keeps the last `limit` messages.
    pub fn new(limit: usize) -> Self {
        Self { start: Instant::now(), limit: limit.max(1), ring: Arc::default() }
    }

    /// Notes one message.
    pub fn record(&self, from: &str, to: &str, call_id: &str, label: String) {
        let rung = Rung { at: self.start.elapsed(), from: from.into(), to: to.into(), call_id: call_id.into(), label };
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        if ring.rungs.len() >= self.limit {
            ring.rungs.pop_front();
        }
        ring.rungs.push_back(rung);
        ring.total += 1;
    }

    /// Time since the ladder was made.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// How many messages were noted, those that the ring has dropped included.
    pub fn total(&self) -> u64 {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner).total
    }

    /// The messages after the first `seen`, as far as they are still there, and how many there are now.
    pub fn since(&self, seen: u64) -> (Vec<Rung>, u64) {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = usize::try_from(ring.total - seen.min(ring.total)).unwrap_or(usize::MAX);
        let skip = ring.rungs.len().saturating_sub(fresh);
        (ring.rungs.iter().skip(skip).cloned().collect(), ring.total)
    }

    /// The messages of some calls, oldest first; all when `call_ids` is empty.
    pub fn rungs(&self, call_ids: &[String]) -> Vec<Rung> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.rungs.iter().filter(|rung| call_ids.is_empty() || call_ids.contains(&rung.call_id)).cloned().collect()
    }
}

/// Draws rungs between columns in the given order; columns that no rung touches are left out.
pub fn draw(rungs: &[Rung], order: &[&str], drawing: Drawing) -> String {
    let mut columns: Vec<&str> = Vec::new();
    let touched = rungs.iter().flat_map(|rung| [rung.from.as_str(), rung.to.as_str()]);
    for name in
        order.iter().copied().filter(|name| rungs.iter().any(|r| r.from == *name || r.to == *name)).chain(touched)
    {
        if !columns.contains(&name) {
            columns.push(name);
        }
    }
    if columns.len() < 2 {
        return String::new();
    }
    let gap = ((WIDTH - TIME_WIDTH - 1) / columns.len()).clamp(8, 36);
    let sheet = Sheet { columns, gap, drawing };
    let mut out = sheet.title();
    let start = rungs.first().map(|rung| rung.at).unwrap_or_default();
    for rung in rungs {
        out.push_str(&sheet.rung(rung, rung.at.saturating_sub(start)));
    }
    out
}

/// The measures of one drawing.
struct Sheet<'a> {
    columns: Vec<&'a str>,
    /// From one lifeline to the next.
    gap: usize,
    drawing: Drawing,
}

impl Sheet<'_> {
    /// Where the lifeline of a column stands.
    fn place(&self, column: usize) -> usize {
        TIME_WIDTH + self.gap / 2 + column * self.gap
    }

    fn title(&self) -> String {
        let mut line = vec![' '; TIME_WIDTH + self.gap * self.columns.len()];
        for (index, name) in self.columns.iter().enumerate() {
            let name: String = name.chars().take(self.gap.saturating_sub(1)).collect();
            let from = self.place(index).saturating_sub(name.chars().count() / 2);
            write_at(&mut line, from, &name);
        }
        finish(line) + &finish(self.lifelines())
    }

    fn lifelines(&self) -> Vec<char> {
        let mut line = vec![' '; TIME_WIDTH + self.gap * self.columns.len()];
        for index in 0..self.columns.len() {
            write_at(&mut line, self.place(index), if self.drawing == Drawing::Utf8 { "│" } else { "|" });
        }
        line
    }

    fn rung(&self, rung: &Rung, offset: Duration) -> String {
        let column = |name: &str| self.columns.iter().position(|known| *known == name).unwrap_or_default();
        let (from, to) = (column(&rung.from), column(&rung.to));
        let mut line = self.lifelines();
        let mut time = String::new();
        // Writing into a String cannot fail.
        let _ = write!(time, "{:>8.3}", offset.as_secs_f64());
        write_at(&mut line, 0, &time);
        let (left, right) = (self.place(from.min(to)), self.place(from.max(to)));
        let (dash, head_right, head_left) = match self.drawing {
            Drawing::Ascii => ('-', '>', '<'),
            Drawing::Utf8 => ('─', '▶', '◀'),
        };
        let room = (right - left).saturating_sub(1);
        let mut arrow = vec![dash; room];
        let head = if from <= to { room.checked_sub(1) } else { Some(0) };
        if let Some(cell) = head.and_then(|at| arrow.get_mut(at)) {
            *cell = if from <= to { head_right } else { head_left };
        }
        let label = shorten(&rung.label, room.saturating_sub(4));
        let label = format!(" {label} ");
        write_at(&mut arrow, (room.saturating_sub(label.chars().count())) / 2, &label);
        write_at(&mut line, left + 1, &arrow.into_iter().collect::<String>());
        finish(line)
    }
}

fn write_at(line: &mut [char], at: usize, text: &str) {
    for (cell, char) in line.iter_mut().skip(at).zip(text.chars()) {
        *cell = char;
    }
}

fn shorten(label: &str, room: usize) -> String {
    if label.chars().count() <= room {
        return label.to_owned();
    }
    let mut short: String = label.chars().take(room.saturating_sub(2)).collect();
    short.push_str("..");
    short
}

fn finish(line: Vec<char>) -> String {
    let text: String = line.into_iter().collect();
    format!("{}\n", text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rung(from: &str, to: &str, label: &str, at: u64) -> Rung {
        Rung {
            at: Duration::from_millis(at),
            from: from.into(),
            to: to.into(),
            call_id: "c".into(),
            label: label.into(),
        }
    }

    #[test]
    fn a_ladder_has_one_line_for_each_message() {
        let rungs = [
            rung("PBX", "edge", "INVITE (1) +SDP", 100),
            rung("edge", "Teams", "INVITE (1) +SDP", 101),
            rung("Teams", "edge", "200 OK (1 INVITE) +SDP", 1305),
        ];
        let text = draw(&rungs, &["PBX", "other", "edge", "Teams"], Drawing::Ascii);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5);
        assert!(lines[0].contains("PBX") && !lines[0].contains("other"));
        assert!(lines[2].starts_with("   0.000"));
        assert!(lines[2].contains("- INVITE (1) +SDP -"), "{text}");
        assert!(lines[2].trim_end().contains(">|"), "{text}");
        assert!(lines[4].starts_with("   1.205") && lines[4].contains("|<-"), "{text}");
    }

    #[test]
    fn no_line_is_wider_than_a_hundred_columns() {
        let long = "x".repeat(200);
        for columns in [vec!["a", "b"], vec!["a", "b", "c", "d", "e"]] {
            let rungs: Vec<Rung> = columns.windows(2).map(|pair| rung(pair[0], pair[1], &long, 0)).collect();
            for drawing in [Drawing::Ascii, Drawing::Utf8] {
                for line in draw(&rungs, &columns, drawing).lines() {
                    assert!(line.chars().count() <= WIDTH, "{line}");
                }
            }
        }
    }

    #[test]
    fn the_ring_forgets_the_oldest_and_still_counts() {
        let ladder = Ladder::new(2);
        for label in ["1", "2", "3"] {
            ladder.record("a", "b", label, label.into());
        }
        assert_eq!(ladder.total(), 3);
        assert_eq!(ladder.rungs(&[]).iter().map(|rung| rung.label.as_str()).collect::<Vec<_>>(), ["2", "3"]);
        assert_eq!(ladder.rungs(&["3".into()]).len(), 1);
        assert_eq!(ladder.since(2).0.len(), 1);
        assert_eq!((ladder.since(0).0.len(), ladder.since(9).0.len()), (2, 0));
        assert_eq!(draw(&[], &["a"], Drawing::Ascii), "");
    }
}
