//! What PBXs tell of lines by HTTP, on its way to the bridge.

use super::side::Side;
use crate::admin::{LineState, PresenceRefusal, Said, Whose};
use crate::config::TenantPresence;
use crate::presence::merge::user_state;
use crate::presence::{People, Report, Source, TenantKey, Told, UserKey, UserState, feed};
use crate::routing::number::{Number, NumberingPlan};
use crate::transaction::Moment;

/// What an entry comes to.
struct Entry {
    user: UserKey,
    user_state: Said<UserState>,
    until: Moment,
}

impl Side {
    /// Takes line states of a tenant's users; for each what is wrong with it.
    ///
    /// # Errors
    /// [`PresenceRefusal::Off`]: the tenant takes no part.
    pub fn take_line_states(
        &mut self,
        tenant: &str,
        numbering: &NumberingPlan,
        states: Vec<LineState>,
    ) -> Result<Vec<Result<(), String>>, PresenceRefusal> {
        let now = self.now();
        let off = || PresenceRefusal::Off(tenant.to_owned());
        let wishes = self.settings().tenants.get(tenant).cloned().ok_or_else(off)?;
        let key = self.people().find_tenant(tenant).ok_or_else(off)?;
        let around = (key, &wishes, numbering);
        Ok(states.iter().map(|state| self.take_line_state(now, around, state)).collect())
    }

    /// Takes one: all that it says, or nothing.
    fn take_line_state(
        &mut self,
        now: Moment,
        (tenant, wishes, numbering): (TenantKey, &TenantPresence, &NumberingPlan),
        state: &LineState,
    ) -> Result<(), String> {
        let user = user_of(self.people(), tenant, &state.whose, numbering)?;
        let user_state = match &state.user_state {
            Said::Nothing => Said::Nothing,
            Said::Gone => Said::Gone,
            Said::State(word) => {
                let known = user_state(word, &wishes.aliases);
                Said::State(known.map_err(|error| format!("`user_state`: {error}"))?)
            }
        };
        let until = now + state.expires.unwrap_or(wishes.feed_expires);
        self.take_device(now, user, state, until)?;
        self.take_user_state(&Entry { user, user_state, until });
        Ok(())
    }

    fn take_device(&mut self, now: Moment, user: UserKey, state: &LineState, until: Moment) -> Result<(), String> {
        let (bridge, devices) = self.with_feed();
        match state.state {
            Said::Nothing => {}
            Said::Gone => {
                if let Some(source) = devices.remove(user, &state.device) {
                    bridge.forget(user, source);
                }
            }
            Said::State(presence) => {
                let lost = |source: Source| bridge.is_lost(now, user, source);
                let source = devices.device(user, &state.device, lost).map_err(|error| error.to_string())?;
                let report = Report::Line { presence, conference: state.conference };
                bridge.tell(Told { user, source, report: Some(report), until: Some(until) });
            }
        }
        Ok(())
    }

    fn take_user_state(&mut self, entry: &Entry) {
        let &Entry { user, ref user_state, until } = entry;
        let (bridge, _) = self.with_feed();
        match *user_state {
            Said::Nothing => {}
            Said::Gone => bridge.forget(user, feed::USER_STATE),
            Said::State(state) => {
                let report = Some(Report::User(state));
                bridge.tell(Told { user, source: feed::USER_STATE, report, until: Some(until) });
            }
        }
    }
}

fn user_of(people: &People, tenant: TenantKey, whose: &Whose, numbering: &NumberingPlan) -> Result<UserKey, String> {
    match whose {
        Whose::User(id) => people.by_id(tenant, id).ok_or_else(|| format!("the bridge has no user `{id}`")),
        Whose::Number(text) => {
            let number = Number::parse(text, numbering);
            let e164 = number.e164().map(|digits| format!("+{digits}"));
            let extension = number.extension().map(|digits| digits.to_string());
            let forms = [Some(text.clone()), extension, e164];
            let found = forms.into_iter().flatten().find_map(|form| people.by_number(tenant, &form));
            found.ok_or_else(|| format!("`{text}` is the number of no user of the bridge, or of several"))
        }
    }
}
