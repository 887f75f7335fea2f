//! Documents of event packages, as PBXs send them: dialog-info, PIDF, and resource lists with their parts.

use trunkway::presence::pidf::Aliases;
use trunkway::presence::subscriber::{parts, read_list};
use trunkway::presence::{dialog_info, pidf};

/// What `max_document_bytes` is by default.
const MOST: usize = 65_536;

/// Any bytes as each kind of document; for a list the first line is the Content-Type.
///
/// # Panics
/// When what was read changes by being written and read again, or a part lies outside of the body.
pub fn check(bytes: &[u8]) {
    if let Ok(first) = dialog_info::read(bytes, MOST) {
        let again = dialog_info::read(dialog_info::write(&first).as_bytes(), usize::MAX).expect("the edge's own is read");
        assert_eq!(again.dialogs.len(), first.dialogs.len());
        assert_eq!(again.report(), first.report());
        assert_eq!(dialog_info::read(dialog_info::write(&again).as_bytes(), usize::MAX).as_ref(), Ok(&again));
    }
    if let Ok(first) = pidf::read(bytes, MOST) {
        first.report(&Aliases::new());
        // Activities of tuples are read and not written.
        let again = pidf::read(pidf::write(&first).as_bytes(), usize::MAX).expect("the edge's own is read");
        assert_eq!(pidf::read(pidf::write(&again).as_bytes(), usize::MAX).as_ref(), Ok(&again));
    }
    let end = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
    let (typed, body) = bytes.split_at(end);
    let parts = parts(typed, body);
    let mut contents: Vec<&[u8]> = parts.iter().map(|part| part.content).filter(|part| !part.is_empty()).collect();
    // The root comes first, wherever it stands.
    contents.sort_by_key(|part| crate::offset_within(body, part));
    crate::assert_in_order(body, &contents);
    for part in &parts {
        if let Ok(list) = read_list(part.content, MOST) {
            assert!(list.resources.iter().all(|resource| resource.uri.len() <= part.content.len() * 3));
        }
    }
}
