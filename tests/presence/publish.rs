//! PUBLISH to the edge, and from it.
