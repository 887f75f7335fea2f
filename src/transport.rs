//! (being built)

pub mod tls;
