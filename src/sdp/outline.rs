//! What of a description has to be known when another one comes: which ways its streams go, in a few bytes.

use super::direction::Direction;
use super::lines::{Lines, Place};
use super::origin::is_nowhere;

/// Most streams that an outline tells apart.
pub const MAX_STREAMS: usize = 8;

/// The streams of a description, the first [`MAX_STREAMS`] of them. A stream that nothing is to be sent to, by its
/// direction or the address 0.0.0.0, does not receive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// Two bits for each stream.
    directions: u16,
    /// A bit for each stream whose port is not zero.
    active: u8,
    len: u8,
    ice: bool,
    /// There are more streams.
    more: bool,
}

impl Outline {
    /// The outline of a description.
    pub fn of(sdp: &[u8]) -> Self {
        let mut it = Self::default();
        let mut session = Level::default();
        let mut media = Level::default();
        for line in Lines::new(sdp) {
            if let Some((_, port)) = line.media() {
                it.end_stream(line.place, media);
                media = Level { active: port != 0, ..session };
                continue;
            }
            let level = if line.place == Place::Session { &mut session } else { &mut media };
            if line.kind == b'c' {
                level.nowhere = is_nowhere(line.value);
            } else if let Some((name, _)) = line.attribute() {
                level.direction = Direction::named(name).unwrap_or(level.direction);
                it.ice |= name.eq_ignore_ascii_case(b"ice-ufrag") || name.eq_ignore_ascii_case(b"candidate");
            }
            media = if line.place == Place::Session { session } else { media };
        }
        let streams = Lines::new(sdp).filter(|line| line.kind == b'm').count();
        if streams == 0 {
            session.active = true;
            it.set(0, session);
        } else {
            it.set(streams - 1, media);
        }
        it
    }

    /// At the `m=` line of a stream: what is known of the one before.
    fn end_stream(&mut self, place: Place, level: Level) {
        if let Place::Media(index @ 1..) = place {
            self.set(index - 1, level);
        }
    }

    fn set(&mut self, index: usize, level: Level) {
        if index < MAX_STREAMS {
            self.directions |= u16::from(level.direction() as u8) << (2 * index);
            self.active |= u8::from(level.active) << index;
            self.len = index as u8 + 1;
        } else {
            self.more = true;
        }
    }

    /// Which way a stream goes; `None` for one that is not there or not told apart.
    pub fn stream(&self, index: usize) -> Option<Direction> {
        (index < usize::from(self.len)).then(|| Direction::of_bits((self.directions >> (2 * index)) as u8 & 3))
    }

    /// What the sender does with all active streams taken together.
    pub fn direction(&self) -> Direction {
        let active = (0..usize::from(self.len)).filter(|index| self.active >> index & 1 != 0);
        let all = active.filter_map(|index| self.stream(index));
        all.fold(Direction::Inactive, |all, one| {
            Direction::new(all.sends() | one.sends(), all.receives() | one.receives())
        })
    }

    /// Whether each stream goes both ways.
    pub fn is_plain(&self) -> bool {
        let plain = |index| self.stream(index) == Some(Direction::SendRecv);
        !self.more && (0..usize::from(self.len)).all(plain)
    }

    /// Whether it speaks of ICE (RFC 8839).
    pub const fn has_ice(&self) -> bool {
        self.ice
    }
}

/// What is said of the streams at one level.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Level {
    /// As written, or taken for granted.
    pub direction: Direction,
    /// The address is 0.0.0.0.
    pub nowhere: bool,
    pub active: bool,
}

impl Level {
    /// The direction that counts: nothing is received at 0.0.0.0.
    pub(super) const fn direction(self) -> Direction {
        Direction::new(self.direction.sends(), self.direction.receives() && !self.nowhere)
    }
}
