//! Numbers for the places that rules were read from.

use super::log::{FileId, Log, Place};
use super::rows::line_span;

/// Where rules came from, as the small numbers that [`crate::routing::Rules`] carries along.
#[derive(Debug, Default)]
pub(super) struct Stretches {
    /// The first number of each stretch, ascending.
    stretches: Vec<(u32, Stretch)>,
    next: u32,
}

#[derive(Debug)]
enum Stretch {
    /// The lines of a file.
    Lines(FileId),
    /// One place.
    Place(Place),
}

impl Stretches {
    /// The number of a file's first line; the others follow.
    pub(super) fn lines(&mut self, log: &Log, file: FileId) -> u32 {
        let count = memchr::memchr_iter(b'\n', log.text(file).as_bytes()).count() + 1;
        self.stretch(Stretch::Lines(file), u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// The number of one place.
    pub(super) fn place(&mut self, place: Place) -> u32 {
        self.stretch(Stretch::Place(place), 1)
    }

    fn stretch(&mut self, stretch: Stretch, length: u32) -> u32 {
        let start = self.next;
        self.stretches.push((start, stretch));
        self.next = start.saturating_add(length);
        start
    }

    /// Where a number was given out.
    pub(super) fn find(&self, log: &Log, origin: u32) -> Option<Place> {
        let after = self.stretches.partition_point(|(start, _)| *start <= origin);
        let (start, stretch) = self.stretches.get(after.checked_sub(1)?)?;
        Some(match stretch {
            Stretch::Place(place) => *place,
            Stretch::Lines(file) => {
                let text = log.text(*file);
                Place::new(*file, line_span(&text, (origin - start) as usize))
            }
        })
    }
}
