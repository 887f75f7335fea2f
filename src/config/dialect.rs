//! The keys of `[trunk.NAME]` that say how a peer speaks.

mod answers;
mod early;
mod headers;
mod identity;
mod media;
mod methods;
mod session;
mod transfer;

use super::reader::Table;
use crate::trunk::TrunkKind;
use crate::trunk::dialect::Dialect;

pub(super) fn read(table: &mut Table<'_>, kind: TrunkKind) -> Dialect {
    Dialect {
        answers: answers::read(table, kind),
        early: early::read(table, kind),
        media: media::read(table, kind),
        methods: methods::read(table, kind),
        session: session::read(table, kind),
        transfer: transfer::read(table, kind),
        identity: identity::read(table, kind),
        headers: headers::read(table, kind),
    }
}
