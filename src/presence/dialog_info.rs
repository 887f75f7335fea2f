//! Dialog-info documents (RFC 4235): read and written.

mod model;
mod read;
mod report;
mod write;

pub use model::{Completeness, Dialog, DialogEnd, DialogInfo, DialogState, Direction, Party};
pub use read::read;
pub use write::write;

/// The media type of the documents (RFC 4235 section 7.1).
pub const MEDIA_TYPE: &str = "application/dialog-info+xml";
