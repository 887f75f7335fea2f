//! PRACKs for provisional answers that the edge itself made reliable: they find the INVITE that they belong to by its
//! Call-ID, its From tag and the CSeq in their RAck, and are answered here, without a transaction.

use std::collections::HashMap;

use super::requests::refuse;
use super::{Incoming, Shard};
use crate::call::context::{Event, prack_key};
use crate::call::screen::Refusal;
use crate::call::{Env, Output};
use crate::transaction::Prack;

/// INVITEs that PRACKs may come for, at most one for each request of the shard.
#[derive(Debug, Default)]
pub(super) struct Pracks {
    slots: HashMap<u64, u32>,
    keys: HashMap<u32, u64>,
}

impl Pracks {
    /// How many INVITEs there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.slots.len().max(self.keys.len())
    }

    fn remove(&mut self, slot: u32) {
        if let Some(key) = self.keys.remove(&slot) {
            self.slots.remove(&key);
        }
    }
}

impl Shard {
    /// Answers a PRACK for an answer of the edge's own; false: it is for nobody here and goes on like any request.
    pub(super) fn handle_prack(&mut self, env: &Env<'_>, out: &mut Output, incoming: &Incoming<'_>) -> bool {
        let Incoming { request, essentials, .. } = *incoming;
        let (Some(rack), Some(tag), Some(from_tag)) = (request.rack(), essentials.to_tag, essentials.from_tag) else {
            return false;
        };
        let key = prack_key(env, essentials.call_id, from_tag, rack.cseq.number);
        let slot = self.pracks.slots.get(&key).copied();
        let context = slot.and_then(|slot| self.contexts.get_mut(slot as usize)).map(|(context, _)| context);
        let Some(context) = context.filter(|_| rack.cseq.method == b"INVITE") else { return false };
        let Some(taken) = context.take_prack(tag, rack.rseq, essentials.cseq.number) else { return false };
        let id = context.id;
        let refusal = match taken {
            Prack::Unmatched => Refusal::new(481, "Call/Transaction Does Not Exist"),
            // An offer would have to be answered by the callee, which has not been asked.
            _ if !request.body().is_empty() => Refusal::new(488, "Not Acceptable Here"),
            Prack::Acknowledges | Prack::Copy => Refusal::new(200, "OK"),
        };
        refuse(env, out, incoming, &refusal);
        if taken == Prack::Acknowledges {
            self.feed(env, out, id, Event::Acknowledged { tag });
        }
        true
    }

    /// After an event: lets PRACKs find a context as long as it has a server side.
    pub(super) fn settle_pracks(&mut self, env: &Env<'_>, slot: u32) {
        let Some((context, _)) = self.contexts.get(slot as usize) else { return };
        if !context.has_server() {
            return self.pracks.remove(slot);
        }
        if !context.takes_pracks() || self.pracks.keys.contains_key(&slot) {
            return;
        }
        if let Some(key) = context.prack_key(env) {
            self.pracks.slots.insert(key, slot);
            self.pracks.keys.insert(slot, key);
        }
    }
}
