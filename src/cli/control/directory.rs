//! Commands about the directory of a running edge.
