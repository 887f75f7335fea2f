//! Calls as the edge saw them.
