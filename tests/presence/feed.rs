//! The HTTP feed.
