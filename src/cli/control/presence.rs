//! Commands about the presence of a running edge.
