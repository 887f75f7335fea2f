//! One line of the log for each call that is over.

use crate::call::CallRecord;

/// Where these lines are found, and switched off: `trunkway::calls`.
const TARGET: &str = "trunkway::calls";

/// Logs a call that is over.
pub fn log(record: &CallRecord) {
    let CallRecord { id, call_id, from, to, tenant, lasted, relearned, outcome, status, reason, meaning, .. } = record;
    let to = to.as_ref().map_or("", |to| &to.trunk);
    let seconds = lasted.map(|lasted| lasted.as_secs_f64());
    tracing::info!(
        target: TARGET,
        call = %id,
        call_id = %call_id,
        from = %from.trunk,
        to,
        tenant = tenant.as_deref().unwrap_or_default(),
        outcome = outcome.name(),
        status,
        seconds,
        relearned,
        reason = %reason,
        meaning = meaning.unwrap_or_default(),
        "call over"
    );
}
