//! What the edge tells of itself while it runs.
//!
//! A driver: it knows lines and where they go, and nothing of calls.

pub mod logs;
