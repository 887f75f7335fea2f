//! What a SIP message is (RFC 3261 sections 7, 19, 20 and 25): one pass makes an index over the bytes, values
//! are typed on demand, changes are collected as edits and applied once while the outgoing bytes are written.
//!
//! Liberal in what it reads (Teams sends `FROM: John Doe<sip:...>`), strict in what it makes. Pure: no I/O,
//! no clock. What no edit touches leaves byte for byte as it came.

pub mod address;
pub mod body;
pub mod build;
pub mod edit;
pub mod flaw;
pub mod frame;
pub mod limits;
pub mod message;
pub mod name;
pub mod parse;
#[cfg(feature = "rsip")]
pub mod rsip;
pub mod scan;
pub mod session_expires;
pub mod transport;
pub mod uri;
pub mod validate;
pub mod values;
pub mod via;

pub use address::NameAddr;
pub use edit::Edits;
pub use flaw::{Flaw, What};
pub use limits::Limits;
pub use message::{Line, Message, Span, Start};
pub use name::HeaderName;
pub use parse::Framing;
pub use session_expires::{Refresher, SessionExpires};
pub use transport::Transport;
pub use uri::{Scheme, Uri};
pub use validate::Essentials;
pub use values::{CSeq, RAck, Reason};
pub use via::Via;
