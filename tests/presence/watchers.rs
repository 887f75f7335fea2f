//! Watchers at the edge.
