//! What the service manager is told: that the edge is ready, what it does, and that it turns (sd_notify(3)).
//!
//! Nothing is told, and nothing is done, where no service manager waits for it (`NOTIFY_SOCKET`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use super::core::Core;
use super::life::{Left, Life};
use super::reload::Reloader;
use crate::admin::LifeState;
use crate::shard::SHARDS;
use crate::trunk::health::State;

/// How often the status line may change, and a stop asks for more time.
const TELL: Duration = Duration::from_secs(1);

/// What a stop asks for at a time: much more than [`TELL`], for a machine that is busy.
const MORE_TIME: Duration = Duration::from_secs(20);

/// How often it is looked whether a shard that was held is free.
const LOOK: Duration = Duration::from_millis(20);

/// Whether a service manager wants to be told.
pub fn is_wanted() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some_and(|socket| !socket.is_empty())
}

/// The listeners are open and messages are read.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// A reload begins; [`ready`] ends it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        // Without the time the manager would wait for it in vain.
        Err(error) => tracing::debug!(%error, "no monotonic time for the service manager"),
    }
}

/// A stop begins.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

pub(super) fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told: {}", states.iter().map(ToString::to_string).collect::<String>());
    }
}

/// Keeps the status line up to date, and asks for the time that a stop needs, until it is aborted.
pub async fn show(core: Arc<Core>, life: Arc<Life>, reloader: Arc<Reloader>) {
    let mut last = String::new();
    let mut interval = tokio::time::interval(TELL);
    loop {
        interval.tick().await;
        let line = status_line(&core, &life, &reloader);
        let stopping = life.ends_in().is_some();
        if line == last && !stopping {
            continue;
        }
        last.clone_from(&line);
        // The manager may be slow to take it.
        let told = tokio::task::spawn_blocking(move || {
            let more = NotifyState::ExtendTimeoutUsec(u32::try_from(MORE_TIME.as_micros()).unwrap_or(u32::MAX));
            let status = NotifyState::Status(&line);
            if stopping { tell(&[status, more]) } else { tell(&[status]) }
        });
        if told.await.is_err() {
            return;
        }
    }
}

/// One line on what goes on: `12 calls, 3 of 4 targets up`.
fn status_line(core: &Core, life: &Life, reloader: &Reloader) -> String {
    let in_progress = || {
        let Left { calls, requests, .. } = life.left();
        format!("{} and {} in progress", counted(calls, "call"), counted(requests, "request"))
    };
    match life.state() {
        LifeState::Serving => {
            let (up, all) = targets(core);
            let calls = counted(core.status().calls, "call");
            let failed = reloader.last().is_some_and(|last| last.result == "failed");
            let word =
                if failed { "; the last reload failed, and the configuration before it is in force" } else { "" };
            format!("{calls}, {up} of {} up{word}", counted(all, "target"))
        }
        LifeState::Draining => format!("draining: {}; `trunkway undrain` ends it", in_progress()),
        LifeState::Stopping => {
            format!("stopping: {}, {} s left", in_progress(), life.ends_in().unwrap_or_default().as_secs())
        }
    }
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// How many targets are up, and how many there are.
fn targets(core: &Core) -> (usize, usize) {
    let edge = core.edge();
    let states = edge
        .trunks
        .0
        .iter()
        .flat_map(|trunk| (0..).zip(&trunk.targets).map(|(index, _)| edge.health.state(trunk.id, index)));
    states.fold((0, 0), |(up, all), state| (up + usize::from(state == State::Up), all + 1))
}

/// Feeds the service manager's watchdog as long as every shard was free within each round and timers have turned: an edge
/// that hangs is started anew. Until it is aborted.
pub async fn feed_watchdog(core: Arc<Core>) {
    let Some(time) = sd_notify::watchdog_enabled().filter(|time| !time.is_zero()) else { return };
    // A round that has to look for its signs takes at most three quarters of the time.
    let mut interval = tokio::time::interval(time / 2);
    loop {
        interval.tick().await;
        match signs_of_life(time / 4, |shard| core.is_free(shard), || core.turns()).await {
            Ok(()) => {
                if tokio::task::spawn_blocking(|| tell(&[NotifyState::Watchdog])).await.is_err() {
                    return;
                }
            }
            Err(stuck) => tracing::error!("the watchdog is not fed: {stuck}"),
        }
    }
}

/// What gave no sign of life.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Stuck {
    #[error("shards {0:?} were not free for a moment")]
    Shards(Vec<usize>),
    #[error("timers do not turn")]
    Timers,
}

/// Waits until every shard was free once and timers have turned.
async fn signs_of_life(limit: Duration, is_free: impl Fn(usize) -> bool, turns: impl Fn() -> u64) -> Result<(), Stuck> {
    let (start, before) = (Instant::now(), turns());
    let mut held: Vec<usize> = (0..SHARDS).collect();
    loop {
        held.retain(|&shard| !is_free(shard));
        let turned = turns() != before;
        if held.is_empty() && turned {
            return Ok(());
        }
        if start.elapsed() >= limit {
            return Err(if held.is_empty() { Stuck::Timers } else { Stuck::Shards(held) });
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Mutex;

    use super::*;

    const SHORT: Duration = Duration::from_millis(100);

    #[tokio::test]
    async fn shard_that_is_held_lets_the_watchdog_bite() {
        let shards: Vec<Mutex<()>> = (0..SHARDS).map(|_| Mutex::new(())).collect();
        let is_free = |shard: usize| shards[shard].try_lock().is_ok();
        let turned = Cell::new(0);
        let turns = || turned.replace(turned.get() + 1);
        assert_eq!(signs_of_life(SHORT, is_free, turns).await, Ok(()));
        let held = [shards[7].lock().unwrap(), shards[63].lock().unwrap()];
        assert_eq!(signs_of_life(SHORT, is_free, turns).await, Err(Stuck::Shards(vec![7, 63])));
        drop(held);
        assert_eq!(signs_of_life(SHORT, is_free, turns).await, Ok(()));
    }

    #[tokio::test]
    async fn timers_that_stand_still_let_the_watchdog_bite() {
        assert_eq!(signs_of_life(SHORT, |_| true, || 3).await, Err(Stuck::Timers));
    }

    #[tokio::test]
    async fn shard_need_be_free_only_once_in_a_round() {
        let looks = Cell::new(0_u64);
        let one_at_a_time = |shard: usize| {
            looks.set(looks.get() + 1);
            looks.get().is_multiple_of(3) || shard == 0
        };
        assert_eq!(signs_of_life(Duration::from_secs(30), one_at_a_time, || looks.get()).await, Ok(()));
    }
}
