//! The sidecar: presence on a thread of its own, beside the calls.
