//! The demo's presence part.
