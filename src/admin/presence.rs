//! Endpoints: presence.
