//! Behind the door: calls in progress and the limits that they count against.

use super::Desk;
use crate::admin::{self, CallDetails, CallFilter, CallShown, CallState, LegShown, LimitShown, NotEnded};
use crate::call::admission::{Meter, Scope};
use crate::call::live::{End, LiveCall, session};
use crate::call::progress::Progress;
use crate::call::{CallId, Env};
use crate::shard::SHARDS;
use crate::shard::look::{CallPlace, Cursor, Seen};
use crate::trunk::CallLimits;

/// Entries of a shard's tables that are looked at before its calls get on.
const AT_ONCE: usize = 256;

/// Calls that one INVITE may have made, when several have answered it.
const MOST_FORKS: usize = 64;

impl admin::Calls for Desk {
    fn calls(&self, filter: &CallFilter, after: &str, limit: usize) -> (Vec<CallShown>, Option<String>) {
        let (mut shown, mut next) = (Vec::new(), None);
        self.walk(cursor(after), |env, place, seen| {
            let Some(progress) = seen.progress.filter(|_| next.is_none()) else { return next.is_none() };
            let call = shown_of(env, &seen, progress);
            if !passes(filter, &call) {
                return true;
            }
            if shown.len() >= limit {
                next = Some(place);
                return false;
            }
            shown.push(CallShown { id: id_of(env, progress).to_string(), ..call });
            true
        });
        (shown, next.map(|(shard, Cursor { table, at })| format!("{shard}.{table}.{at}")))
    }

    fn call(&self, id: CallId) -> Option<CallShown> {
        self.find(id).map(|(_, _, call)| call)
    }

    fn hang_up(&self, id: CallId) -> Result<CallShown, NotEnded> {
        let mut ended = None;
        for _ in 0..MOST_FORKS {
            let Some((shard, place, call)) = self.find(id) else { break };
            match self.parts.core.end_call(shard, place) {
                Err(crate::shard::look::NotEnded::Transparent) => return Err(NotEnded::Transparent(id)),
                Ok(()) | Err(crate::shard::look::NotEnded::Gone) => ended = ended.or(Some(call)),
            }
        }
        ended.ok_or(NotEnded::Unknown(id))
    }

    fn admission(&self) -> Vec<LimitShown> {
        let edge = self.parts.core.edge();
        let meters = edge.gate.meters();
        let (trunks, tenants) = (edge.trunks.0.iter(), edge.routing.tenants().iter().filter(|tenant| !tenant.removed));
        let sites = edge.routing.sites().iter();
        let named = trunks.map(|it| (Scope::Trunk, &it.name, it.limits.as_deref()));
        let named = named.chain(tenants.map(|it| (Scope::Tenant, &it.id, it.limits.as_deref())));
        let named = named.chain(sites.map(|it| (Scope::Site, &it.fqdn, it.limits.as_deref())));
        let all = named.map(|(scope, name, limits)| {
            let meter = meters.find(scope, name);
            limit_of(scope, name, limits, meter.as_deref())
        });
        let users = meters.all(Scope::User).into_iter().map(|meter| {
            let limits = meter.name.split_once('/').and_then(|(tenant, user)| {
                let tenants = edge.routing.tenants();
                let tenant = tenants.get(tenants.find(tenant)?)?;
                tenant.user_limits.get(user).or_else(|| tenant.user_limits.get(""))
            });
            limit_of(Scope::User, &meter.name, limits.map(|limits| &**limits), Some(&meter))
        });
        all.chain(users).collect()
    }
}

impl Desk {
    /// Shows all calls in progress from a place on, while `show` wants more.
    fn walk(&self, from: (usize, Cursor), mut show: impl FnMut(&Env<'_>, (usize, Cursor), Seen<'_>) -> bool) {
        let (first, mut cursor) = from;
        for shard in first..SHARDS {
            loop {
                let mut more = true;
                let next = self.parts.core.look(shard, |env, calls| {
                    calls.look(cursor, AT_ONCE, |at, seen| more = more && show(env, (shard, at), seen))
                });
                if !more {
                    return;
                }
                match next.flatten() {
                    Some(next) => cursor = next,
                    None => break,
                }
            }
            cursor = Cursor::default();
        }
    }

    fn find(&self, id: CallId) -> Option<(usize, CallPlace, CallShown)> {
        let mut found = None;
        self.walk((0, Cursor::default()), |env, (shard, _), seen| {
            if let Some(progress) = seen.progress.filter(|progress| id_of(env, progress) == id) {
                let details = Some(details_of(env, &seen, progress));
                let call = CallShown { id: id.to_string(), details, ..shown_of(env, &seen, progress) };
                found = Some((shard, seen.place, call));
            }
            found.is_none()
        });
        found
    }
}

fn id_of(env: &Env<'_>, progress: &Progress) -> CallId {
    CallId::of(env.secrets, progress.call_id())
}

fn cursor(text: &str) -> (usize, Cursor) {
    let mut parts = text.split('.').map(|part| part.parse::<u64>().unwrap_or_default());
    let mut next = || parts.next().unwrap_or_default();
    let (shard, table, at) = (next(), next(), next());
    (usize::try_from(shard).unwrap_or(SHARDS), Cursor { table: u8::try_from(table).unwrap_or(u8::MAX), at })
}

fn passes(filter: &CallFilter, call: &CallShown) -> bool {
    let CallFilter { trunk, tenants, number, state } = filter;
    let on = |trunk: &String| *trunk == call.from || Some(trunk) == call.to.as_ref();
    let has = |number: &String| [&call.caller, &call.called, &call.sent_to].iter().any(|it| it.contains(&**number));
    let of = |tenants: &Vec<String>| call.tenant.as_ref().is_some_and(|tenant| tenants.contains(tenant));
    trunk.as_ref().is_none_or(on)
        && tenants.as_ref().is_none_or(of)
        && number.as_ref().is_none_or(has)
        && state.is_none_or(|state| state == call.state)
}

/// A call less its id, which costs more than the rest.
fn shown_of(env: &Env<'_>, seen: &Seen<'_>, progress: &Progress) -> CallShown {
    let name = |trunk| env.edge.trunk(trunk).map(|trunk| trunk.name.to_string());
    let state = if let CallPlace::SetUp(_) = seen.place { CallState::Ringing } else { CallState::Up };
    let since = match (state, seen.live, progress.answered) {
        (CallState::Ringing, ..) => progress.invited,
        (CallState::Up, Some(live), _) => live.began,
        (CallState::Up, None, answered) => answered.unwrap_or(progress.invited),
    };
    let party =
        |end| seen.live.map(|live: &LiveCall| live.leg(end).trunk(env.edge).map(|trunk| trunk.name.to_string()));
    CallShown {
        id: String::new(),
        state,
        caller: text(progress.caller()),
        called: text(progress.called()),
        sent_to: text(progress.sent_to()),
        from: party(End::Caller).flatten().or_else(|| name(progress.from)).unwrap_or_else(|| "gone".to_owned()),
        to: party(End::Callee).flatten().or_else(|| name(progress.to?.0)),
        tenant: progress.tenant.as_ref().map(|tenant| tenant.to_string()),
        site: progress.site.as_ref().map(|site| site.to_string()),
        for_s: env.now.since(since).as_secs(),
        invited: (progress.invited_unix_ms > 0).then_some(progress.invited_unix_ms),
        emergency: progress.emergency,
        transparent: matches!(seen.place, CallPlace::Through(_)),
        details: None,
    }
}

fn details_of(env: &Env<'_>, seen: &Seen<'_>, progress: &Progress) -> CallDetails {
    let millis = |moment| u64::try_from(progress.after(moment).as_millis()).unwrap_or(u64::MAX);
    let target = progress.to.and_then(|(trunk, target)| env.edge.trunk(trunk)?.targets.get(usize::from(target?)));
    let legs = seen.live.map(|live| End::BOTH.map(|end| leg_of(env, live, end)).into());
    CallDetails {
        call_id: text(progress.call_id()),
        target: target.map(ToString::to_string),
        tries: progress.tries,
        rang_after_ms: progress.rang.map(millis),
        answered_after_ms: progress.answered.map(millis),
        transfers: seen.live.map_or(0, |live| live.transfers),
        relearned: seen.live.is_some_and(|live| live.relearned),
        counts_at: progress.ticket.names().map(|(scope, name)| format!("{} {name}", scope.word())).collect(),
        legs: legs.unwrap_or_default(),
    }
}

fn leg_of(env: &Env<'_>, call: &LiveCall, end: End) -> LegShown {
    let leg = call.leg(end);
    LegShown {
        trunk: leg.trunk(env.edge).map(|trunk| trunk.name.to_string()),
        call_id: text(&leg.call_id),
        peer: text(&leg.peer),
        target: text(&leg.target),
        sent_cseq: leg.sent_cseq,
        timer_s: session::next_timeout_of(leg).map(|at| at.since(env.now).as_secs()),
    }
}

fn limit_of(scope: Scope, name: &str, limits: Option<&CallLimits>, meter: Option<&Meter>) -> LimitShown {
    let (calls_in, calls_out) = meter.map_or((0, 0), Meter::used);
    let told = meter.map(Meter::refused).unwrap_or_default();
    let near = |max: Option<u32>, used: u32, soft: u8| {
        max.is_some_and(|max| u64::from(used) * 100 >= u64::from(max) * u64::from(soft) && used > 0)
    };
    let is_soft = |limits: &CallLimits| {
        let soft = limits.soft_percent;
        near(limits.max_calls, calls_in.saturating_add(calls_out), soft)
            || near(limits.max_calls_in, calls_in, soft)
            || near(limits.max_calls_out, calls_out, soft)
    };
    LimitShown {
        scope: scope.word(),
        name: name.to_owned(),
        profile: limits.and_then(|limits| limits.profile.as_ref()).map(|profile| profile.to_string()),
        calls_in,
        calls_out,
        max_calls: limits.and_then(|limits| limits.max_calls),
        max_calls_in: limits.and_then(|limits| limits.max_calls_in),
        max_calls_out: limits.and_then(|limits| limits.max_calls_out),
        max_calls_per_second: limits.and_then(|limits| limits.rate).map(|rate| rate.per_second),
        soft_percent: limits.map(|limits| limits.soft_percent),
        soft: limits.is_some_and(is_soft),
        refused: told.refused,
        soft_passed: told.soft,
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_back() {
        assert_eq!(cursor(""), (0, Cursor::default()));
        assert_eq!(cursor("7.2.18446744073709551615"), (7, Cursor { table: 2, at: u64::MAX }));
        assert_eq!(cursor("x"), (0, Cursor::default()));
    }

    #[test]
    fn filters_look_at_both_sides() {
        let call = CallShown {
            caller: "+441632768401".to_owned(),
            called: "201".to_owned(),
            from: "teams".to_owned(),
            to: Some("carrier".to_owned()),
            tenant: Some("contoso".to_owned()),
            state: CallState::Up,
            ..CallShown::default()
        };
        let filter = CallFilter::default();
        assert!(passes(&filter, &call));
        for (filter, wanted) in [
            (CallFilter { trunk: Some("carrier".to_owned()), ..filter.clone() }, true),
            (CallFilter { trunk: Some("pbx".to_owned()), ..filter.clone() }, false),
            (CallFilter { number: Some("768401".to_owned()), ..filter.clone() }, true),
            (CallFilter { number: Some("999".to_owned()), ..filter.clone() }, false),
            (CallFilter { tenants: Some(vec!["other".to_owned()]), ..filter.clone() }, false),
            (CallFilter { state: Some(CallState::Ringing), ..filter.clone() }, false),
        ] {
            assert_eq!(passes(&filter, &call), wanted, "{filter:?}");
        }
    }
}
