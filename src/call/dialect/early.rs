//! What a peer is shown of provisional answers. What becomes of it on the way from one leg to the other.

use super::Passing;
use crate::sip::Edits;

pub(super) fn edit(_passing: &Passing<'_>, _edits: &mut Edits) {}
