//! Reloads under load.
