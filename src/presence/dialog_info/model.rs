//! What a dialog-info document says (RFC 4235 section 4.1).

/// Whether a document has all dialogs of the entity, or only those that changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Completeness {
    #[default]
    Full,
    Partial,
}

impl Completeness {
    /// As documents write it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Partial => "partial",
        }
    }
}

/// Who began a dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The user whose line it is.
    Initiator,
    /// The other party.
    Recipient,
}

impl Direction {
    /// As documents write it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Initiator => "initiator",
            Self::Recipient => "recipient",
        }
    }
}

/// How far a dialog has come (RFC 4235 section 3.7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DialogState {
    Trying,
    Proceeding,
    Early,
    Confirmed,
    Terminated,
}

impl DialogState {
    /// As documents write it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Trying => "trying",
            Self::Proceeding => "proceeding",
            Self::Early => "early",
            Self::Confirmed => "confirmed",
            Self::Terminated => "terminated",
        }
    }
}

/// What ended a dialog, or brought it to its state (RFC 4235 section 4.1.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DialogEnd {
    Cancelled,
    Rejected,
    Replaced,
    LocalBye,
    RemoteBye,
    Error,
    Timeout,
}

impl DialogEnd {
    /// As documents write it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
            Self::Replaced => "replaced",
            Self::LocalBye => "local-bye",
            Self::RemoteBye => "remote-bye",
            Self::Error => "error",
            Self::Timeout => "timeout",
        }
    }
}

/// One side of a dialog.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Party {
    /// The URI that names the party.
    pub identity: Option<String>,
    /// The display name beside the identity.
    pub display: Option<String>,
    /// The Contact of the party.
    pub target: Option<String>,
    /// Whether the party renders media, where `+sip.rendering` tells (RFC 4235 section 5.2): `false` is a call on hold.
    pub rendering: Option<bool>,
    /// Whether the party is the focus of a conference (`isfocus`, RFC 4579 section 5.1).
    pub focus: bool,
}

/// One dialog of an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialog {
    /// Names the dialog among those of the entity, for as long as it lives.
    pub id: String,
    pub call_id: Option<String>,
    pub local_tag: Option<String>,
    pub remote_tag: Option<String>,
    /// `None`: the document does not say.
    pub direction: Option<Direction>,
    pub state: DialogState,
    pub event: Option<DialogEnd>,
    /// The SIP status that brought the dialog to its state.
    pub code: Option<u16>,
    pub local: Party,
    pub remote: Party,
}

impl Dialog {
    /// A dialog of which no more is known than its name and state.
    pub fn new(id: impl Into<String>, state: DialogState) -> Self {
        Self {
            id: id.into(),
            call_id: None,
            local_tag: None,
            remote_tag: None,
            direction: None,
            state,
            event: None,
            code: None,
            local: Party::default(),
            remote: Party::default(),
        }
    }

    /// Whether the user has put the call on hold, or is held.
    pub fn is_held(&self) -> bool {
        [&self.local, &self.remote].iter().any(|party| party.rendering == Some(false))
    }

    /// Whether either side is the focus of a conference.
    pub const fn is_conference(&self) -> bool {
        self.local.focus || self.remote.focus
    }
}

/// A document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DialogInfo {
    /// Counts up by one from document to document of a subscription; `None`: some PBXs leave it out.
    pub version: Option<u32>,
    pub completeness: Completeness,
    /// The URI of the user whose dialogs these are.
    pub entity: String,
    pub dialogs: Vec<Dialog>,
}
