//! The request on the far leg, as edits to the one that came on the near one.

use bytes::Bytes;

use super::super::dialect::identity::{self, Ends};
use super::super::dialect::{Passing, media};
use super::super::forward::{Forward, write_own_via};
use super::super::live::Lives;
use super::super::seal::{Bound, Hold, LegState, Side, is_named};
use super::super::{Env, Tools};
use super::{Crossing, Dialog, NotSealed, Sealing, Values, add_product, cseq, hosts, mark, minutes, refer_to, site_of};
use crate::routing::Site;
use crate::sip::edit::{Edits, write_decimal};
use crate::sip::{HeaderName, NameAddr, Span, body};
use crate::trunk::TrunkKind;

impl Forward<'_> {
    /// Writes the request as one of the edge's own leg. What does not fit into its Contact is put on the shelf.
    ///
    /// # Errors
    /// [`NotSealed`] when a later request would not find its way.
    pub fn write_owned(&self, crossing: &Crossing, env: &Env<'_>, tools: &mut Tools) -> Result<Bytes, NotSealed> {
        tools.edits.clear();
        let dialog = crossing.dialog.as_deref();
        if dialog.is_none() {
            self.edit_calling(tools);
            self.edit_request_uri(tools);
            identity::write_numbers(self, tools);
        }
        self.edit_max_forwards(tools);
        let Tools { edits, scratch, lives, .. } = tools;
        self.edit_path(dialog, edits);
        scratch.clear();
        let host = self.edge.write_own(self.hop.trunk, self.hop.listener, self.site(dialog), scratch);
        let own = scratch.len();
        match (dialog, crossing.near) {
            (Some(dialog), _) => scratch.extend_from_slice(&dialog.call_id),
            (None, Side::Caller { leg }) => {
                self.secrets.ring.seal_call_id(crossing.key, self.essentials.call_id, leg, scratch)?;
            }
            // Outside of a dialog whoever sends is the caller.
            (None, Side::Callee) => return Err(NotSealed::Fault),
        }
        let (own, call_id) = scratch.split_at(own);
        edits.replace(self.request.span_of(self.essentials.call_id), call_id);
        if let Some(dialog) = dialog {
            self.edit_tags(dialog, edits);
        }
        let host = own.get(..host).unwrap_or_default();
        let passing = self.passing(crossing, lives, host).ok_or(NotSealed::Fault)?;
        let seen = hosts::edit(&passing, edits);
        self.edit_replaces(dialog, edits);
        if let Some(dialog) = dialog.filter(|_| self.request.method() == b"REFER") {
            refer_to::edit(self.request, &self.secrets.ring, (crossing, dialog), host, edits);
        }
        self.edit_cseq(crossing.cseq_offset(), edits);
        let hold = media::held(&passing).turned();
        if let Some(sealing) = self.sealing(crossing, (env.unix, hold), own, call_id) {
            sealing.edit(self.request, edits, &mut env.shelf.borrow_mut())?;
        }
        passing.edit(edits);
        identity::edit(&passing, &self.ends(crossing), seen, edits);
        add_product(self.request, self.edge, self.hop.trunk, edits);
        media::slim(&passing, self.hop.transport, edits);
        body::edit_length(self.request, self.hop.transport.is_reliable(), edits);
        Ok(edits.apply(self.request))
    }

    /// The tags of the far leg, where the two have not the same.
    fn edit_tags(&self, dialog: &Dialog, edits: &mut Edits) {
        let pairs = [(self.essentials.from_tag, &dialog.from_tag), (self.essentials.to_tag, &dialog.to_tag)];
        for (near, far) in pairs {
            if let (Some(near), Some(far)) = (near, far) {
                edits.replace(self.request.span_of(near), far);
            }
        }
        if let (None, Some(tag), Some(line)) =
            (self.essentials.to_tag, &dialog.to_tag, self.request.line(HeaderName::To))
        {
            edits.insert_with(line.value_end, |out| {
                out.extend_from_slice(b";tag=");
                out.extend_from_slice(tag);
            });
        }
    }

    /// What the edge replaces itself nobody else is asked to; Teams never is.
    fn edit_replaces(&self, dialog: Option<&Dialog>, edits: &mut Edits) {
        let to_teams = || self.edge.trunk(self.hop.trunk).is_some_and(|trunk| trunk.kind == TrunkKind::Teams);
        if self.request.method() != b"INVITE" || !dialog.map_or_else(to_teams, |dialog| dialog.joins.is_some()) {
            return;
        }
        for line in self.request.lines().iter().filter(|line| line.name == HeaderName::Other) {
            if self.request.name_at(line).eq_ignore_ascii_case(b"Replaces") {
                edits.remove_line(line);
            }
        }
        edits.remove_values_where(self.request, HeaderName::Require, |tag| tag.eq_ignore_ascii_case(b"replaces"));
    }

    /// The request as the dialects of both sides see it.
    fn passing<'p>(&'p self, crossing: &'p Crossing, lives: &'p Lives, host: &'p [u8]) -> Option<Passing<'p>> {
        let dialog = crossing.dialog.as_deref();
        Some(Passing {
            edge: self.edge,
            message: self.request,
            request: None,
            method: self.request.method(),
            from: self.edge.trunk(self.from)?,
            to: self.edge.trunk(self.hop.trunk)?,
            initial: dialog.is_none(),
            verbatim: self.is_verbatim(),
            emergency: crossing.emergency,
            said: crossing.offer,
            offer: None,
            hold: dialog.map_or(Hold::None, |dialog| dialog.hold),
            spoken: dialog.and_then(|dialog| dialog.spoken(lives, true)),
            host,
        })
    }

    /// What is known of the caller and of the call beyond the message.
    fn ends(&self, crossing: &Crossing) -> Ends<'_> {
        let hidden = match crossing.dialog.as_deref() {
            Some(dialog) => dialog.hidden && matches!(dialog.near, Side::Caller { .. }),
            None => crossing.hidden,
        };
        Ends { leg: self.leg, hidden }
    }

    /// The site under whose name the far side knows the edge.
    fn site(&self, dialog: Option<&Dialog>) -> Option<&Site> {
        match dialog {
            Some(dialog) => self.edge.routing.sites().marked(dialog.site?).map(|site| &**site),
            None => self.leg?.site.as_deref(),
        }
    }

    /// Nothing of the near side's path goes on; in a dialog the far side's target and routes take its place.
    fn edit_path(&self, dialog: Option<&Dialog>, edits: &mut Edits) {
        for name in [HeaderName::Via, HeaderName::Route, HeaderName::RecordRoute] {
            edits.remove_header(self.request, name);
        }
        let Some(top) = self.request.line(HeaderName::Via).map(|line| line.start) else { return };
        edits.insert_with(top, |out| {
            out.extend_from_slice(b"Via: ");
            write_own_via(self.edge, self.hop, self.branch, self.loop_hash, out);
            out.extend_from_slice(b"\r\n");
        });
        let (Some(dialog), Some(span)) = (dialog, self.request.request_uri_span()) else { return };
        let strict = dialog.strict_route();
        edits.replace(span, strict.map_or(dialog.target(), |uri| uri.raw));
        let left = dialog.routes().skip(usize::from(strict.is_some()));
        edits.insert_with(top, |out| {
            for route in left {
                out.extend_from_slice(b"Route: ");
                out.extend_from_slice(route);
                out.extend_from_slice(b"\r\n");
            }
            if strict.is_some() {
                out.extend_from_slice(b"Route: <");
                out.extend_from_slice(dialog.target());
                out.extend_from_slice(b">\r\n");
            }
        });
    }

    /// Numbers of the far leg are spread out ([`cseq`]).
    fn edit_cseq(&self, offset: i32, edits: &mut Edits) {
        let Some(value) = self.request.value(HeaderName::CSeq) else { return };
        let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let Span { start, .. } = self.request.span_of(value);
        let number = cseq::far(self.essentials.cseq.number, offset);
        // `digits` is no longer than the header block, which fits into 16 bits.
        let span = Span { start, end: start + digits as u16 };
        edits.replace_with(span, |out| write_decimal(out, u64::from(number)));
    }

    /// The way back to the near side, to be sealed into the Contact where there is one.
    fn sealing<'s>(
        &'s self,
        crossing: &'s Crossing,
        (unix, hold): (u64, Hold),
        own: &'s [u8],
        call_id: &'s [u8],
    ) -> Option<Sealing<'s>> {
        let contact = self.request.contacts().next()?.ok().filter(|contact| *contact != NameAddr::star())?;
        let near_call_id = self.essentials.call_id;
        let dialog = crossing.dialog.as_deref();
        // Proxies between say so in every request, or they did so in the first.
        let mut far: Values<'_> = self.request.values(HeaderName::RecordRoute).filter_map(Result::ok).collect();
        if far.is_empty() {
            far.extend(dialog.into_iter().flat_map(Dialog::near_routes));
        }
        let site = match &crossing.behalf {
            Some(behalf) => behalf.site,
            None => site_of(self.edge, self.from, self.essentials.uri.host).map(Site::mark),
        };
        let named = match dialog {
            Some(dialog) => dialog.near_call_id_named,
            None => is_named(near_call_id),
        };
        Some(Sealing {
            ring: &self.secrets.ring,
            key: crossing.key,
            bound: Bound { call_id, trunk: mark(self.edge, self.hop.trunk) },
            own,
            state: LegState {
                near: dialog.map_or(Side::Callee, |dialog| dialog.far_side),
                hold,
                emergency: crossing.emergency,
                created: minutes(unix),
                far: mark(self.edge, self.from),
                tenant: site.map(|site| site.tenant),
                site: site.map(|site| site.site),
                engine: dialog.and_then(|dialog| dialog.engine),
                hidden: dialog.map_or(crossing.hidden, |dialog| dialog.hidden),
                cseq_offset: match (dialog, &crossing.behalf) {
                    (Some(dialog), _) => dialog.back_offset,
                    (None, Some(behalf)) => behalf.back_offset,
                    (None, None) => 0,
                },
                back_offset: dialog.map_or(0, |dialog| dialog.cseq_offset),
                call_id: named.then_some(near_call_id),
                // What is the sender's own tag on this leg is the peer's on the other one, and the other way round.
                from_tag: match dialog {
                    Some(dialog) => dialog.to_tag.as_ref().and(self.essentials.to_tag),
                    None => crossing.behalf.as_ref().map(|behalf| &*behalf.known_as),
                },
                to_tag: dialog.and_then(|dialog| dialog.from_tag.as_ref()).and(self.essentials.from_tag),
                target: contact.uri,
                ..LegState::default()
            },
            far,
            near: dialog.into_iter().flat_map(Dialog::routes).collect(),
            tag: dialog.and_then(|dialog| dialog.to_tag.as_deref().or(self.essentials.to_tag)),
            call: dialog.map_or(near_call_id, |dialog| dialog.callers_call_id(near_call_id)),
            up: dialog.is_some(),
        })
    }
}
