//! PIDF and RPID (RFC 3863, RFC 4479, RFC 4480): presence documents, read and written.

mod model;

pub use model::{Activity, Basic, Document, OWN_MARK, PersonPart, Tuple};
