//! The dialect of a trunk: how a peer speaks SIP beyond what all agree on. Data that `config` fills and `call` follows;
//! it counts where the edge owns the legs of a call.

pub mod answers;
pub mod early;
pub mod headers;
pub mod identity;
pub mod media;
pub mod methods;
pub mod session;
pub mod transfer;

pub use answers::Answers;
pub use early::Early;
pub use headers::Headers;
pub use identity::Identity;
pub use media::Media;
pub use methods::Methods;
pub use session::Session;
pub use transfer::Transfer;

use super::TrunkKind;

/// How one peer speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// Final answers.
    pub answers: Answers,
    /// Provisional answers.
    pub early: Early,
    /// Session descriptions and other bodies.
    pub media: Media,
    /// What methods and extensions it knows.
    pub methods: Methods,
    /// Session timers (RFC 4028).
    pub session: Session,
    /// REFER (RFC 3515).
    pub transfer: Transfer,
    /// Who calls, and the headers that say so.
    pub identity: Identity,
    /// Headers that it gets or is spared.
    pub headers: Headers,
}

impl Dialect {
    /// What is taken for granted of a kind of peer.
    pub fn of_kind(kind: TrunkKind) -> Self {
        Self {
            answers: Answers::of_kind(kind),
            early: Early::of_kind(kind),
            media: Media::of_kind(kind),
            methods: Methods::of_kind(kind),
            session: Session::of_kind(kind),
            transfer: Transfer::of_kind(kind),
            identity: Identity::of_kind(kind),
            headers: Headers::of_kind(kind),
        }
    }
}
