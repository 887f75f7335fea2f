//! PIDF and RPID (RFC 3863, RFC 4479, RFC 4480): presence documents, read and written.

mod model;
mod read;
mod report;
mod write;

pub use model::{Activity, Basic, Document, OWN_MARK, PersonPart, Tuple};
pub use read::read;
pub use report::Aliases;
pub use write::write;
