//! What watchers are sent: the documents of a user's state.

use bytes::Bytes;

use crate::presence::View;
use crate::presence::dialog_info::{self, Dialog, DialogInfo, DialogState, Direction};
use crate::presence::pidf::{self, Document, OWN_MARK, PersonPart, Tuple};
use crate::sip::{Scheme, Uri};

/// The user's URI as a watcher has asked for it: what its documents are about, without parameters.
pub fn entity(uri: &Uri<'_>) -> Box<str> {
    let user = String::from_utf8_lossy(uri.user.unwrap_or_default());
    let host = String::from_utf8_lossy(uri.host);
    match uri.scheme {
        Scheme::Tel => format!("tel:{user}"),
        Scheme::Sips => format!("sips:{user}@{host}"),
        Scheme::Sip | Scheme::Other => format!("sip:{user}@{host}"),
    }
    .into()
}

/// The presence document of a state.
pub fn presence(entity: &str, view: &View) -> Bytes {
    let note = vec![view.note().to_owned()];
    let document = Document {
        entity: entity.to_owned(),
        tuples: vec![Tuple {
            id: format!("{OWN_MARK}service"),
            basic: Some(view.basic()),
            contact: Some(entity.to_owned()),
            activities: Vec::new(),
            notes: note.clone(),
        }],
        people: vec![PersonPart { id: format!("{OWN_MARK}person"), activities: view.activities(), notes: note }],
        notes: Vec::new(),
    };
    pidf::write(&document).into()
}

/// The dialog-info document of a lamp. Where it is dark there is a terminated dialog and not none: many phones put a lamp
/// out for what they read, and for nothing that is missing.
pub fn dialog(entity: &str, version: u32, lit: bool) -> Bytes {
    let state = if lit { DialogState::Confirmed } else { DialogState::Terminated };
    let mut dialog = Dialog::new(format!("{OWN_MARK}teams"), state);
    dialog.direction = Some(Direction::Initiator);
    dialog.local.identity = Some(entity.to_owned());
    let document = DialogInfo {
        version: Some(version),
        entity: entity.to_owned(),
        dialogs: vec![dialog],
        ..DialogInfo::default()
    };
    dialog_info::write(&document).into()
}
