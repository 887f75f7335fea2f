//! What a presence document says, without its XML.

/// A presence document (RFC 3863 section 4.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// Whose presence it is: a `pres:` or `sip:` URI as written.
    pub entity: String,
    /// Services and devices, in order.
    pub tuples: Vec<Tuple>,
    /// The person (RFC 4479); more than one where a compositor could not decide.
    pub people: Vec<PersonPart>,
    /// Notes on the whole document.
    pub notes: Vec<String>,
}

/// One way to reach somebody (RFC 3863 section 4.1.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tuple {
    pub id: String,
    pub basic: Option<Basic>,
    pub contact: Option<String>,
    /// RPID allows activities for persons only; many PBXs write them in `status` or in the tuple, and there they are read.
    pub activities: Vec<Activity>,
    pub notes: Vec<String>,
}

/// What the person does (RFC 4479 section 3.2, RFC 4480 section 3.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PersonPart {
    pub id: String,
    pub activities: Vec<Activity>,
    pub notes: Vec<String>,
}

/// Whether communication is possible at all (RFC 3863 section 4.1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Basic {
    Open,
    Closed,
}

impl Basic {
    /// The text of the element.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }

    /// Reads the text of the element, in any case.
    pub fn read(text: &str) -> Option<Self> {
        [Self::Open, Self::Closed].into_iter().find(|basic| text.trim().eq_ignore_ascii_case(basic.word()))
    }
}

/// What a person is doing (RFC 4480 section 3.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Activity {
    Appointment,
    Away,
    Busy,
    Holiday,
    Lunch,
    Meal,
    Meeting,
    OnThePhone,
    PermanentAbsence,
    Presentation,
    Travel,
    Unknown,
    Vacation,
    /// Any other: the name of an element that this enum does not have, or the text of `other`.
    Other(Box<str>),
}

impl Activity {
    const NAMED: [(&'static str, Self); 13] = [
        ("appointment", Self::Appointment),
        ("away", Self::Away),
        ("busy", Self::Busy),
        ("holiday", Self::Holiday),
        ("lunch", Self::Lunch),
        ("meal", Self::Meal),
        ("meeting", Self::Meeting),
        ("on-the-phone", Self::OnThePhone),
        ("permanent-absence", Self::PermanentAbsence),
        ("presentation", Self::Presentation),
        ("travel", Self::Travel),
        ("unknown", Self::Unknown),
        ("vacation", Self::Vacation),
    ];

    /// The activity of an element's local name; the text of `other` is put in by the reader.
    pub fn read(element: &str) -> Self {
        let named = Self::NAMED.into_iter().find(|(name, _)| element.eq_ignore_ascii_case(name));
        named.map_or_else(|| Self::Other(element.into()), |(_, activity)| activity)
    }

    /// The local name of the element; `None`: it is text within `other`.
    pub fn element(&self) -> Option<&'static str> {
        Self::NAMED.iter().find(|(_, activity)| activity == self).map(|&(name, _)| name)
    }
}

/// How the ids of tuples, persons and dialogs begin in all documents that the edge writes. What comes back with it (a PBX
/// that publishes what it was told) is no news, and must not be taken for the user's own state.
pub const OWN_MARK: &str = "trunkway-";

impl Document {
    /// Takes out what the edge itself has written; `true` when something else is left, or nothing was there.
    pub fn drop_own(&mut self) -> bool {
        let before = self.tuples.len() + self.people.len();
        self.tuples.retain(|tuple| !tuple.id.starts_with(OWN_MARK));
        self.people.retain(|person| !person.id.starts_with(OWN_MARK));
        before == 0 || self.tuples.len() + self.people.len() > 0
    }
}
