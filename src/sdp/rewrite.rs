//! Other directions and addresses for a description's streams; every other byte stays.

use std::ops::Range;

use super::direction::Direction;
use super::lines::{Line, Lines, Place};
use super::origin::is_nowhere;
use super::outline::Level;

/// A stream, or the whole session, whose direction is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// The index of its `m=` line; `None`: what is said for all streams together.
    pub index: Option<usize>,
    /// The direction that is written, at its own or the session's level.
    pub written: Direction,
    /// The one that counts: nothing is received at 0.0.0.0.
    pub direction: Direction,
}

/// Gives streams the directions that `direction` wants, and puts `address`, a `c=` value, in the place of 0.0.0.0.
///
/// `put` gets each change: a range of the description and what takes its place. Changes come in order and do not overlap.
/// Streams with port 0 are left alone.
pub fn rewrite(
    sdp: &[u8],
    direction: impl Fn(Stream) -> Direction,
    address: Option<&[u8]>,
    put: impl FnMut(Range<usize>, &[&[u8]]),
) {
    let (session, explicit) = session_of(sdp);
    let written = session.direction;
    // Where the session says nothing, its streams have nothing to inherit.
    let wanted = if explicit { direction(Stream { index: None, written, direction: written }) } else { written };
    let mut pass = Pass { sdp, direction, address, put, session, wanted };
    let mut rest = Lines::new(sdp);
    while let Some(first) = rest.clone().next() {
        let section = rest.clone().take_while(|line| line.place == first.place);
        let count = section.clone().count();
        pass.section(section, first);
        rest.by_ref().take(count).for_each(drop);
    }
}

/// What is said for all streams.
fn session_of(sdp: &[u8]) -> (Level, bool) {
    let mut level = Level { active: true, ..Level::default() };
    let mut explicit = false;
    for line in Lines::new(sdp).take_while(|line| line.place == Place::Session) {
        if line.kind == b'c' {
            level.nowhere = is_nowhere(line.value);
        } else if let Some(named) = direction_in(&line) {
            (level.direction, explicit) = (named, true);
        }
    }
    (level, explicit)
}

fn direction_in(line: &Line<'_>) -> Option<Direction> {
    Direction::named(line.attribute()?.0)
}

/// The session's own lines, or those of one stream.
struct Section {
    place: Place,
    level: Level,
    /// It names a direction of its own.
    explicit: bool,
    /// Where its last line's break starts, and where what follows starts.
    end: usize,
    next: usize,
}

impl Section {
    fn new(first: Line<'_>, session: Level) -> Self {
        let active = first.media().is_none_or(|(_, port)| port != 0);
        Self {
            place: first.place,
            level: Level { active, ..session },
            explicit: false,
            end: first.end,
            next: first.next,
        }
    }

    fn read(&mut self, line: &Line<'_>) {
        (self.end, self.next) = (line.end, line.next);
        if line.kind == b'c' {
            self.level.nowhere = is_nowhere(line.value);
        } else if let Some(named) = direction_in(line) {
            (self.level.direction, self.explicit) = (named, true);
        }
    }
}

struct Pass<'a, 'd, D, P> {
    sdp: &'a [u8],
    direction: D,
    address: Option<&'d [u8]>,
    put: P,
    session: Level,
    /// The direction for all streams that name none.
    wanted: Direction,
}

impl<'a, D: Fn(Stream) -> Direction, P: FnMut(Range<usize>, &[&[u8]])> Pass<'a, '_, D, P> {
    fn section(&mut self, lines: impl Iterator<Item = Line<'a>> + Clone, first: Line<'a>) {
        let mut section = Section::new(first, self.session);
        lines.clone().for_each(|line| section.read(&line));
        let Level { direction: written, active, .. } = section.level;
        let wanted = match section.place {
            Place::Session => self.wanted,
            Place::Media(_) if !active => written,
            Place::Media(index) => {
                (self.direction)(Stream { index: Some(index), written, direction: section.level.direction() })
            }
        };
        for line in lines {
            self.line(&line, wanted, active && wanted != written);
        }
        let inherited = if section.explicit { wanted } else { self.wanted };
        if wanted != inherited && active {
            self.add(&section, wanted);
        }
    }

    fn line(&mut self, line: &Line<'a>, wanted: Direction, changes: bool) {
        // Behind the letter and the equals sign.
        let value = line.start + 2..line.start + 2 + line.value.len();
        if let Some(named) = direction_in(line) {
            if named != wanted && changes {
                (self.put)(value, &[wanted.name().as_bytes()]);
            }
            return;
        }
        let Some(address) = self.address else { return };
        if line.kind == b'c' && is_nowhere(line.value) {
            (self.put)(value, &[address]);
        } else if let Some((name, rest)) = line.attribute()
            && name == b"rtcp"
            && let Some(blank) = memchr::memchr(b' ', rest)
            && is_nowhere(rest.get(blank..).unwrap_or_default())
        {
            let start = value.end - rest.len() + blank + 1;
            (self.put)(start..value.end, &[address]);
        }
    }

    /// Adds a line behind the section's last.
    fn add(&mut self, section: &Section, wanted: Direction) {
        let name = wanted.name().as_bytes();
        let line_break = self.sdp.get(section.end..section.next).unwrap_or_default();
        if line_break.is_empty() {
            let usual: &[u8] = if memchr::memchr(b'\r', self.sdp).is_some() { b"\r\n" } else { b"\n" };
            (self.put)(section.end..section.end, &[usual, b"a=", name]);
        } else {
            (self.put)(section.next..section.next, &[b"a=", name, line_break]);
        }
    }
}
