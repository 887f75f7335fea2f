//! What many users cost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::presence::poller::{self, Poller};

const USERS: u32 = 100_000;

fn id(user: u32) -> Arc<str> {
    format!("00000000-0000-0000-0000-{user:012}").into()
}

/// A tenth of the users in a tenant each: Graph's limits allow no more changes than that.
fn filled() -> (Writer, Budgets, Poller, Moment) {
    let now = Moment::from_millis(1_000);
    let (mut writer, mut budgets) = (Writer::new(now, Settings::default(), 1), Budgets::default());
    let mut poller = Poller::new(poller::Settings::default(), 1);
    for user in 0..USERS {
        let (key, tenant, id) = (UserKey(user), TenantKey((user % 10) as u16), id(user));
        budgets.set_tenant(now, tenant, 1_400);
        writer.set_user(now, key, tenant, Some(Arc::clone(&id)));
        poller.set_user(now, key, tenant, Some(id));
    }
    (writer, budgets, poller, now)
}

#[test]
fn hundred_thousand_users_take_little_memory_and_a_change_takes_no_walk_through_them() {
    let (mut writer, mut budgets, mut poller, mut now) = filled();
    let bytes = (writer.heap_bytes() + poller.heap_bytes()) / USERS as usize;
    assert!(bytes <= 400, "{bytes} bytes a user for writer and poller");

    let (mut out, mut polls) = (Vec::new(), Vec::new());
    let mut written = 0;
    let started = Instant::now();
    let changes = 20_000;
    for change in 0..changes {
        let user = UserKey((change * 7_919) % USERS);
        writer.want(now, user, Some(Session::InACall));
        now = now + Duration::from_millis(3);
        writer.handle_time(now, &mut budgets, &mut out);
        poller.handle_time(now, &mut budgets, |tenant| writer.has_changes(tenant), &mut polls);
        for order in std::mem::take(&mut out) {
            if let Order::Write { request, items, .. } = order {
                written += items.len();
                let results = vec![ItemResult::Done; items.len()];
                writer.handle_done(now, request, Ok(results), &mut budgets, &mut out);
            }
        }
        polls.clear();
    }
    let each = started.elapsed() / changes;
    assert!(written > changes as usize * 9 / 10, "{written}");
    // Some microseconds in truth; a walk through all users would take a thousand times as long.
    assert!(each < Duration::from_micros(500), "{each:?} a change");
    let grown = (writer.heap_bytes() + poller.heap_bytes()) / USERS as usize;
    assert!(grown <= 450, "{grown} bytes a user");
}
