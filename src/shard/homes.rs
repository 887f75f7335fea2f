//! Which shard a request goes to: that of its call. Most Call-IDs say so themselves; a Replaces (RFC 3891) names a call that
//! may be in another shard than the request's own Call-ID says.

use super::Shard;
use crate::call::live::{Homes, LegKey, LiveCall};
use crate::call::owned::mark;
use crate::call::refer::{ReferTo, Replaces};
use crate::call::{Env, Secrets};
use crate::sip::{Essentials, Message};
use crate::trunk::TrunkId;

/// The shard of a request among `count`, a power of two: that of its call, or of the call that its Replaces names.
pub fn shard_of(
    secrets: &Secrets,
    homes: &Homes,
    request: &Message,
    essentials: &Essentials<'_>,
    count: usize,
) -> usize {
    if request.method() == b"INVITE"
        && essentials.to_tag.is_none()
        && let Ok(Some(replaces)) = Replaces::of(request)
    {
        return home_of(secrets, homes, &replaces.call_id, count);
    }
    home_of(secrets, homes, essentials.call_id, count)
}

/// A call that has to be in the shard of a REFER which names it, and the shard that it is in.
pub fn call_to_bring(
    secrets: &Secrets,
    homes: &Homes,
    request: &Message,
    count: usize,
) -> Option<(usize, Replaces<'static>)> {
    if request.method() != b"REFER" {
        return None;
    }
    let replaces = ReferTo::of(request).ok()?.replaces?.into_owned();
    Some((home_of(secrets, homes, &replaces.call_id, count), replaces))
}

fn home_of(secrets: &Secrets, homes: &Homes, call_id: &[u8], count: usize) -> usize {
    homes.find(secrets, call_id).map_or_else(|| secrets.shard_of(call_id, count), usize::from)
}

impl Shard {
    /// Gives away the call that a peer of the trunk `from` names, when nothing is under way in it.
    pub fn give_away(&mut self, env: &Env<'_>, from: TrunkId, replaces: &Replaces<'_>) -> Option<Box<LiveCall>> {
        let key = LegKey::new(env.secrets, &replaces.call_id, &replaces.from_tag, &replaces.to_tag);
        let (id, end) = self.tools.lives.up(key)?;
        let call = self.tools.lives.get(id)?;
        let busy = call.transfer.is_some() || call.passing.is_some() || !call.errands.is_empty();
        if busy || call.leg(end).mark != mark(env.edge, from) {
            return None;
        }
        self.tools.lives.take_out(env.secrets, id)
    }

    /// Takes a call in that was in another shard.
    pub fn take_in(&mut self, env: &Env<'_>, call: Box<LiveCall>) {
        self.tools.lives.take_in(env.secrets, env.now, call, self.index);
    }
}
