//! The edge's own calls as a source.
