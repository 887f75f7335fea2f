//! A slow walk over all calls in progress: it finds calls that were up before the bridge knew of them, and those of which
//! nobody has told that they are over.

use std::time::Duration;

use super::Lines;
use super::ledger::Ledger;
use crate::call::progress::Turn;
use crate::daemon::core::Core;
use crate::shard::SHARDS;
use crate::shard::look::Cursor;
use crate::transaction::Moment;

/// How long a step waits for the next one: a round over all shards takes half a minute, and longer with many calls.
const STEP: Duration = Duration::from_millis(500);

/// Entries that one step looks at, while the calls of their shard wait.
const LOOK: usize = 32;

/// Where the walk is.
#[derive(Debug)]
pub struct Sweep {
    shard: usize,
    cursor: Cursor,
    next: Moment,
}

impl Sweep {
    /// A walk that begins soon.
    pub fn new(now: Moment) -> Self {
        Self { shard: 0, cursor: Cursor::default(), next: now + STEP }
    }

    /// When the next step is wanted.
    pub const fn next_wake(&self) -> Moment {
        self.next
    }

    /// Takes a step when it is time.
    pub fn handle_time(&mut self, now: Moment, core: &Core, lines: &Lines, ledger: &mut Ledger) {
        if now < self.next {
            return;
        }
        self.next = now + STEP;
        // What is told under the shard's lock is told before the call can end.
        let goes_on = core.look(self.shard, |env, shard| {
            shard.look(self.cursor, LOOK, |_, seen| {
                let turn = seen.progress.and_then(|progress| Turn::of(env.edge, env.secrets, progress, seen.live));
                if let Some(turn) = turn.filter(|turn| lines.is_wanted(&turn.tenant)) {
                    ledger.see(turn.call);
                    lines.turned(turn);
                }
            })
        });
        if let Some(cursor) = goes_on.flatten() {
            self.cursor = cursor;
            return;
        }
        self.cursor = Cursor::default();
        self.shard += 1;
        if self.shard >= SHARDS {
            self.shard = 0;
            ledger.end_round().into_iter().for_each(|call| lines.over(call));
        }
        lines.wake();
    }
}
