//! Where rules were written, by the numbers that they carry along.

use std::sync::Arc;

use super::super::plan::Source;

/// Stretches of origins, ascending by the first of each.
#[derive(Clone, Debug, Default)]
pub(in crate::routing) struct Sources {
    stretches: Vec<(u32, Source)>,
}

impl Sources {
    /// Says where origins from `first` on come from; `first` is above those of all other stretches.
    pub(in crate::routing) fn add(&mut self, first: u32, source: Source) {
        self.stretches.push((first, source));
    }

    pub(in crate::routing) fn find(&self, origin: Option<u32>) -> Source {
        let Some(origin) = origin else { return Source::Unknown };
        let after = self.stretches.partition_point(|(first, _)| *first <= origin);
        match after.checked_sub(1).and_then(|at| self.stretches.get(at)) {
            Some((first, Source::File(file, line))) => Source::File(Arc::clone(file), line + (origin - first)),
            Some((_, source)) => source.clone(),
            None => Source::Unknown,
        }
    }
}
