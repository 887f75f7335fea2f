//! Presence never slows a call.
