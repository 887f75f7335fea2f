//! Behind the door: addresses that are banned, and the overload of the edge.

use std::time::Duration;

use jiff::Timestamp;

use super::Desk;
use crate::admin::{self, BanStatus, OverloadStatus};
use crate::trunk::Network;
use crate::trunk::guard::{Ban, Cause};

impl admin::Guard for Desk {
    fn bans(&self) -> Vec<BanStatus> {
        self.parts.strangers.bans().iter().map(status).collect()
    }

    fn ban(&self, network: Network, length: Option<Duration>, reason: &str) -> Result<BanStatus, String> {
        let made = self.parts.strangers.ban(&self.parts.core.edge(), network, length, reason);
        made.map(|ban| status(&ban)).map_err(|error| error.to_string())
    }

    fn unban(&self, network: Network) -> Option<BanStatus> {
        self.parts.strangers.unban(network).as_ref().map(status)
    }

    fn overload(&self) -> OverloadStatus {
        self.parts.overload.status()
    }
}

fn status(ban: &Ban) -> BanStatus {
    let (cause, reason) = match &ban.cause {
        Cause::Offence(offence) => (offence.name(), offence.words().to_owned()),
        Cause::Operator(reason) => ("operator", reason.to_string()),
    };
    BanStatus {
        network: ban.network.to_string(),
        since: time(ban.since),
        until: ban.until.map(time),
        times: ban.times,
        cause,
        reason,
    }
}

fn time(unix_ms: u64) -> String {
    let time = i64::try_from(unix_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    time.unwrap_or(Timestamp::MAX).to_string()
}
