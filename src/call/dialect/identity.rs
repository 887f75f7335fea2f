//! Who calls: what a peer is told of it, and which headers it gets. What becomes of it on the way from one leg to the other.

use super::Passing;
use crate::sip::Edits;

pub(super) fn edit(_passing: &Passing<'_>, _edits: &mut Edits) {}
