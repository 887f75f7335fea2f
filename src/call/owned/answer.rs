//! An answer on its way back to the near leg, as edits to the one that came on the far one.

use std::cell::RefCell;
use std::net::SocketAddr;

use super::super::Tools;
use super::super::dialect::identity::{self, Ends};
use super::super::dialect::{Passing, media};
use super::super::edge::Edge;
use super::super::live::Lives;
use super::super::seal::{Bound, Hold, KeyRing, LegState};
use super::super::stored::Shelf;
use super::{Crossing, Dialog, NotSealed, Sealing, Values, add_product, hosts, mark, minutes, site_of};
use crate::routing::Site;
use crate::sip::build::{write_line, write_top_via};
use crate::sip::edit::Edits;
use crate::sip::{HeaderName, Message, NameAddr, Span, body};
use crate::trunk::{ListenerId, TrunkId};

/// An answer to a request that crossed from one leg to the other.
#[derive(Clone, Copy, Debug)]
pub struct Back<'a> {
    pub edge: &'a Edge,
    pub ring: &'a KeyRing,
    pub shelf: &'a RefCell<Shelf>,
    /// Seconds since 1970 UTC.
    pub unix: u64,
    /// The request as it came, or what [`super::digest`] left of it.
    pub request: &'a Message,
    /// Where it came from.
    pub remote: SocketAddr,
    pub from: TrunkId,
    /// The listener that it came in by.
    pub listener: ListenerId,
    /// The trunk that answers.
    pub to: TrunkId,
    /// The site under whose name that trunk knows the edge, for a request outside of a dialog.
    pub site: Option<&'a Site>,
    pub crossing: &'a Crossing,
}

impl Back<'_> {
    /// Makes the edits, all but taking off the edge's own Via, which stands alone on top.
    ///
    /// # Errors
    /// [`NotSealed`] when there is no room for the Contact: the answer has none then.
    pub fn edit(&self, response: &Message, tools: &mut Tools) -> Result<(), NotSealed> {
        let Tools { edits, scratch, lives, .. } = tools;
        let shelf = &mut *self.shelf.borrow_mut();
        self.edit_path(response, edits);
        self.edit_names(response, edits);
        scratch.clear();
        let site = site_of(self.edge, self.from, self.request.uri().map(|uri| uri.host).unwrap_or_default());
        let host = self.edge.write_own(self.from, self.listener, site, scratch);
        let own = scratch.get(..host).unwrap_or_default();
        let passing = self.passing(response, lives, own);
        let hold = passing.map_or(Hold::None, |passing| media::held(&passing).turned());
        if let Some(passing) = passing {
            let seen = hosts::edit(&passing, edits);
            passing.edit(edits);
            identity::edit(&passing, &Ends::default(), seen, edits);
            add_product(response, self.edge, self.from, edits);
        }
        let mut sealed = Ok(());
        match response.status() {
            300..=399 | 485 => rename_contacts(response, scratch, edits),
            400.. => edits.remove_header(response, HeaderName::Contact),
            _ => sealed = self.edit_contact(response, hold, scratch, edits, shelf),
        }
        self.mark_call(response, shelf);
        let listener = self.edge.listener(self.listener);
        if let (Some(passing), Some(listener)) = (passing, listener) {
            media::slim(&passing, listener.transport, edits);
        }
        body::edit_length(response, false, edits);
        sealed
    }

    /// The answer as the dialects of both sides see it.
    fn passing<'p>(&'p self, response: &'p Message, lives: &'p Lives, host: &'p [u8]) -> Option<Passing<'p>> {
        let dialog = self.crossing.dialog.as_deref();
        Some(Passing {
            edge: self.edge,
            message: response,
            request: Some(self.request),
            method: response.cseq().map(|cseq| cseq.method).unwrap_or_default(),
            from: self.edge.trunk(self.to)?,
            to: self.edge.trunk(self.from)?,
            initial: dialog.is_none(),
            verbatim: false,
            emergency: self.crossing.emergency,
            said: media::said_in(response),
            offer: self.crossing.offer,
            hold: dialog.map_or(Hold::None, |dialog| dialog.hold.turned()),
            spoken: dialog.and_then(|dialog| dialog.spoken(lives, false)),
            host,
        })
    }

    /// The near side's Vias and record of its route go back as they came (RFC 3261 sections 8.2.6.2, 12.1.1).
    fn edit_path(&self, response: &Message, edits: &mut Edits) {
        edits.remove_header(response, HeaderName::RecordRoute);
        let Some(own) = response.line(HeaderName::Via) else { return };
        edits.insert_with(own.next, |out| {
            let mut top = true;
            for line in self.request.lines_of(HeaderName::Via) {
                let value = self.request.value_at(line);
                if std::mem::take(&mut top) {
                    out.extend_from_slice(b"Via: ");
                    write_top_via(out, value, self.remote);
                    out.extend_from_slice(b"\r\n");
                } else {
                    write_line(out, "Via", value);
                }
            }
            if response.status() < 300 {
                for line in self.request.lines_of(HeaderName::RecordRoute) {
                    write_line(out, "Record-Route", self.request.value_at(line));
                }
            }
        });
    }

    /// From, To, Call-ID and CSeq are the near side's own; only the tag in To is of the far side.
    fn edit_names(&self, response: &Message, edits: &mut Edits) {
        let same = [(HeaderName::From, "From"), (HeaderName::CallId, "Call-ID"), (HeaderName::CSeq, "CSeq")];
        for (header, name) in same {
            edits.set_header(response, header, name, self.request.value(header).unwrap_or_default());
        }
        let tag = if self.request.to_tag().is_some() { None } else { response.to_tag() };
        let write = |out: &mut Vec<u8>| {
            out.extend_from_slice(self.request.value(HeaderName::To).unwrap_or_default());
            if let Some(tag) = tag {
                out.extend_from_slice(b";tag=");
                out.extend_from_slice(tag);
            }
        };
        match response.line(HeaderName::To) {
            Some(line) => edits.replace_with(Span { start: line.value, end: line.value_end }, write),
            None => edits.insert_with(response.header_block().end, |out| {
                out.extend_from_slice(b"To: ");
                write(out);
                out.extend_from_slice(b"\r\n");
            }),
        }
    }

    /// Tells the call store that the call is up, or over.
    fn mark_call(&self, response: &Message, shelf: &mut Shelf) {
        let method = response.cseq().map(|cseq| cseq.method).unwrap_or_default();
        let begins =
            self.crossing.dialog.is_none() && method != b"REGISTER" && response.line(HeaderName::Contact).is_some();
        let up = begins && matches!(response.status(), 200..=299);
        // These end a dialog, whoever is right (RFC 3261 section 15.1.1).
        let over = method == b"BYE" && matches!(response.status(), 200..=299 | 408 | 481);
        if !up && !over || shelf.is_unused() {
            return;
        }
        let call = self.ring.call_mark(self.crossing.key, self.callers_call_id());
        if up { shelf.mark_up(call) } else { shelf.mark_over(call) }
    }

    fn callers_call_id(&self) -> &[u8] {
        let near = self.request.value(HeaderName::CallId).unwrap_or_default();
        self.crossing.dialog.as_ref().map_or(near, |dialog| dialog.callers_call_id(near))
    }

    /// Seals the way to the far side into the Contact.
    fn edit_contact(
        &self,
        response: &Message,
        hold: Hold,
        own: &[u8],
        edits: &mut Edits,
        shelf: &mut Shelf,
    ) -> Result<(), NotSealed> {
        match response.contacts().next() {
            None => Ok(()),
            Some(Ok(contact)) if contact != NameAddr::star() => {
                let sealing = self.sealing(response, contact.uri, hold, own);
                sealing.edit(response, edits, shelf)?;
                if self.crossing.dialog.is_none() && sealing.up && !sealing.far.is_empty() {
                    // The callee has its token already, from the request.
                    let call_id = response.value(HeaderName::CallId).unwrap_or_default();
                    let callee = Bound { call_id, trunk: mark(self.edge, self.to) };
                    sealing.keep_near(&sealing.far, callee, response.to_tag(), shelf);
                }
                Ok(())
            }
            Some(_) => {
                edits.remove_header(response, HeaderName::Contact);
                Ok(())
            }
        }
    }

    fn sealing<'s>(&'s self, response: &'s Message, target: &'s [u8], hold: Hold, own: &'s [u8]) -> Sealing<'s> {
        let dialog = self.crossing.dialog.as_deref();
        let values = |message: &'s Message| message.values(HeaderName::RecordRoute).filter_map(Result::ok);
        let far: Values<'_> = match dialog {
            // A dialog keeps the route set that it began with (RFC 3261 section 12.2).
            Some(dialog) => dialog.routes().collect(),
            None => {
                let mut routes: Values<'_> = values(response).collect();
                routes.reverse();
                routes
            }
        };
        let mut near: Values<'_> = values(self.request).collect();
        if near.is_empty() {
            near.extend(dialog.into_iter().flat_map(Dialog::near_routes));
        }
        let site = match dialog {
            Some(dialog) => dialog.site,
            None => self.site.map(Site::mark),
        };
        let call_id = self.request.value(HeaderName::CallId).unwrap_or_default();
        Sealing {
            ring: self.ring,
            key: self.crossing.key,
            bound: Bound { call_id, trunk: mark(self.edge, self.from) },
            own,
            state: LegState {
                near: self.crossing.near,
                hold,
                emergency: self.crossing.emergency,
                created: minutes(self.unix),
                far: dialog.map_or_else(|| mark(self.edge, self.to), |dialog| dialog.far),
                tenant: site.map(|site| site.tenant),
                site: site.map(|site| site.site),
                engine: dialog.and_then(|dialog| dialog.engine),
                hidden: dialog.map_or(self.crossing.hidden, |dialog| dialog.hidden),
                cseq_offset: self.crossing.cseq_offset(),
                back_offset: match (dialog, &self.crossing.behalf) {
                    (Some(dialog), _) => dialog.back_offset,
                    (None, Some(behalf)) => behalf.back_offset,
                    (None, None) => 0,
                },
                call_id: dialog.filter(|dialog| dialog.call_id_named).map(|dialog| &*dialog.call_id),
                from_tag: dialog.and_then(|dialog| dialog.from_tag.as_deref()),
                to_tag: match dialog {
                    // Whoever takes a side's place knows the other by the tag that this has.
                    Some(dialog) => dialog.to_tag.as_deref().filter(|_| self.request.to_tag().is_some()),
                    None => self.crossing.behalf.as_ref().and(response.to_tag()),
                },
                target,
                ..LegState::default()
            },
            far,
            near,
            tag: self.request.from().ok().and_then(|from| from.tag()),
            call: self.callers_call_id(),
            up: response.status() >= 200,
        }
    }
}

/// A redirection leads to the edge, which knows the way to whoever is named there.
fn rename_contacts(response: &Message, own: &[u8], edits: &mut Edits) {
    for contact in response.contacts().filter_map(Result::ok) {
        if let Ok(uri) = contact.uri()
            && !uri.host.is_empty()
        {
            edits.replace(hosts::place_of(response, &uri), own);
        }
    }
}
