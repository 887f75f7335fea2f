//! `trunkway drain` and `trunkway undrain`: whether the running edge takes new calls.

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use super::{Client, Door, Failure, field};
use crate::cli::{EXIT_NO, Output};

/// How often the edge is asked whether all is over.
const ASK: Duration = Duration::from_millis(500);

/// What `trunkway drain --help` shows at its end.
const DRAIN_EXAMPLES: &str = "\
Examples:
  trunkway drain                              new calls are refused from now on
  trunkway drain --wait --timeout-s 1800      and it is waited for half an hour until all calls are over
  trunkway drain --wait && systemctl stop trunkway";

/// What `trunkway undrain --help` shows at its end.
const UNDRAIN_EXAMPLES: &str = "\
Examples:
  trunkway undrain                            new calls are taken again
  trunkway undrain --json | jq -r .state      serving";

/// Arguments of `trunkway drain`.
#[derive(Debug, Args)]
#[command(after_help = DRAIN_EXAMPLES)]
pub struct DrainArguments {
    /// Wait until no call and no request is in progress. Exits with 1 when that takes too long; the edge stays drained.
    #[arg(long)]
    pub wait: bool,

    /// How long to wait at the most, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600, requires = "wait")]
    pub timeout_s: u64,

    #[command(flatten)]
    pub door: Door,
}

/// Arguments of `trunkway undrain`.
#[derive(Debug, Args)]
#[command(after_help = UNDRAIN_EXAMPLES)]
pub struct UndrainArguments {
    #[command(flatten)]
    pub door: Door,
}

/// Runs `trunkway drain`.
pub fn drain(arguments: &DrainArguments) -> Output {
    let DrainArguments { wait, timeout_s, door } = arguments;
    let limit = wait.then(|| Duration::from_secs(*timeout_s));
    let mut is_over = true;
    let mut output = door.show(
        |client| {
            let life = client.post("/v1/drain", &json!({}))?;
            let (life, over) = limit.map_or(Ok((life, true)), |limit| waited(client, limit))?;
            is_over = over;
            Ok(life)
        },
        words,
    );
    if !is_over {
        output.code = EXIT_NO;
        output.err.push_str("calls or requests are still in progress; the edge stays drained\n");
    }
    output
}

/// Runs `trunkway undrain`.
pub fn undrain(arguments: &UndrainArguments) -> Output {
    arguments.door.show(|client| client.post("/v1/undrain", &json!({})), words)
}

/// What goes on when all is over, or the time is; and which of both it is.
fn waited(client: &Client, limit: Duration) -> Result<(Value, bool), Failure> {
    let start = Instant::now();
    loop {
        let life = client.get("/v1/drain")?;
        let none = |key: &str| life.get(key).and_then(Value::as_u64) == Some(0);
        let over = none("calls") && none("requests");
        if over || start.elapsed() >= limit {
            return Ok((life, over));
        }
        std::thread::sleep(ASK.min(limit));
    }
}

fn words(life: &Value) -> String {
    let [state, for_s, calls, requests] = ["state", "for_s", "calls", "requests"].map(|key| field(life, key));
    format!("{state} for {for_s} s; in progress: calls {calls}, requests {requests}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_is_one_line() {
        let life = json!({ "state": "draining", "for_s": 7, "calls": 12, "requests": 3 });
        assert_eq!(words(&life), "draining for 7 s; in progress: calls 12, requests 3\n");
    }
}
