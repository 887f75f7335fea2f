//! The control API and its commands.
