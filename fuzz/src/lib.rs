//! What the fuzz targets check, as plain functions over bytes and lists of events.

pub mod address;
pub mod documents;
pub mod frames;
pub mod line_states;
pub mod graph;
pub mod message;
pub mod multipart;
pub mod sdp;
pub mod trace;
pub mod watchers;
pub mod world;

/// Whether `part` lies within `whole`; where it begins there.
///
/// # Panics
/// When it lies elsewhere.
pub fn offset_within(whole: &[u8], part: &[u8]) -> usize {
    let (outer, inner) = (whole.as_ptr_range(), part.as_ptr_range());
    assert!(outer.start <= inner.start && inner.end <= outer.end, "{part:?} lies outside of {whole:?}");
    inner.start as usize - outer.start as usize
}

/// Checks that each part lies in `whole` behind the one before it. Empty parts may lie anywhere.
///
/// # Panics
/// When one does not.
pub fn assert_in_order(whole: &[u8], parts: &[&[u8]]) {
    let mut at = 0;
    for part in parts.iter().filter(|part| !part.is_empty()) {
        let start = offset_within(whole, part);
        assert!(start >= at, "{part:?} overlaps what stands before it in {whole:?}");
        at = start + part.len();
    }
}
