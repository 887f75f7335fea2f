//! (being built)

pub mod certs;
