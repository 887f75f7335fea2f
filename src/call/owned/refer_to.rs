//! Refer-To of a REFER that goes on to the other side: it leads to the edge, or, where it names one of the edge's dialogs,
//! to whoever is behind that one, in the words of the far leg.

use super::super::refer::{ReferTo, Replaces, header_line, write_escaped};
use super::hosts::{place_of, write_place};
use super::{Crossing, Dialog};
use crate::call::seal::KeyRing;
use crate::sip::edit::{Edits, write_decimal};
use crate::sip::{Message, NameAddr, Span, Uri};

/// Makes the edits to a REFER. `own` is the name by which the far side knows the edge.
pub(super) fn edit(
    request: &Message,
    ring: &KeyRing,
    (crossing, dialog): (&Crossing, &Dialog),
    own: &[u8],
    edits: &mut Edits,
) {
    let Some(value) = header_line(request, b"refer-to", b"r") else { return };
    let (Ok(address), Ok(refer_to)) = (NameAddr::parse(value), ReferTo::parse(value)) else { return };
    let Ok(uri) = address.uri() else { return };
    if uri.host.is_empty() {
        return;
    }
    let Some(replaces) = refer_to.replaces else {
        return edits.replace_with(place_of(request, &uri), |out| write_place(&uri, own, false, out));
    };
    // Whoever is behind the dialog is the far side's own: it finds it without the edge.
    let Ok(target) = Uri::parse(dialog.target()) else { return };
    let mut place = target.host.to_vec();
    if let Some(port) = target.port {
        place.push(b':');
        write_decimal(&mut place, u64::from(port));
    }
    edits.replace_with(place_of(request, &uri), |out| write_place(&uri, &place, false, out));
    let Some(there) = turned(ring, crossing, &replaces) else { return };
    for header in uri.headers.split(|&byte| byte == b'&') {
        let Some(equals) = memchr::memchr(b'=', header) else { continue };
        let (name, value) = header.split_at(equals);
        if name.eq_ignore_ascii_case(b"replaces") {
            let Span { start, end } = request.span_of(value);
            edits.replace_with(Span { start: start + 1, end }, |out| {
                let mut plain = Vec::with_capacity(128);
                there.write(&mut plain);
                write_escaped(&plain, out);
            });
        }
    }
}

/// A dialog of the near side's as the far side's: the tags pass, the Call-ID is the far leg's.
fn turned<'r>(ring: &KeyRing, crossing: &Crossing, replaces: &'r Replaces<'r>) -> Option<Replaces<'r>> {
    let mut call_id = Vec::with_capacity(96);
    if ring.open_call_id(&replaces.call_id, &mut call_id).is_none() {
        call_id.clear();
        ring.seal_call_id(crossing.key, &replaces.call_id, 0, &mut call_id).ok()?;
    }
    Some(Replaces { call_id: call_id.into(), ..replaces.clone() })
}
