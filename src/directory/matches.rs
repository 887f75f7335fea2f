//! Which user of an edge is which object of the directory.

use std::collections::HashMap;
use std::sync::Arc;

use super::Mirror;

/// Object ids by user principal name and by mail, in lower case.
pub type Matches = HashMap<Arc<str>, Arc<str>, foldhash::fast::RandomState>;

/// The matches of all enabled accounts; a name that is one user's principal name and another's mail is the first's.
pub fn matches(mirror: &Mirror) -> Matches {
    let enabled = || mirror.users.iter().filter(|(_, entry)| entry.is_enabled());
    let mut matches = Matches::default();
    for (object, entry) in enabled() {
        if let Some(id) = entry.id() {
            matches.insert(id.into(), Arc::from(&**object));
        }
    }
    for (object, entry) in enabled() {
        for name in entry.names().skip(1) {
            matches.entry(name.into()).or_insert_with(|| Arc::from(&**object));
        }
    }
    matches
}
