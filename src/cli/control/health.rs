//! `trunkway health` and `trunkway alarms`: how the running edge is doing, and what was wrong before.

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::Value;

use super::status::span;
use super::{Door, Extent, columns, field, more};
use crate::cli::Output;

/// Exit codes of `trunkway health`, those of a Nagios plugin.
const EXIT_WARNING: u8 = 1;
const EXIT_ERROR: u8 = 2;

/// What `trunkway health --help` shows at its end.
const HEALTH_EXAMPLES: &str = "\
Examples:
  trunkway health
  trunkway health --json | jq -r '.causes[].text'
  trunkway health >/dev/null || echo 'look after the edge'";

/// What `trunkway alarms --help` shows at its end.
const ALARM_EXAMPLES: &str = "\
Examples:
  trunkway alarms                             those that there are, and the last that have gone
  trunkway alarms --state cleared --limit 20
  trunkway alarms --json --all | jq '.alarms[] | select(.severity == \"error\")'";

/// Arguments of `trunkway health`.
#[derive(Debug, Args)]
#[command(after_help = HEALTH_EXAMPLES)]
pub struct HealthArguments {
    #[command(flatten)]
    pub door: Door,
}

/// Arguments of `trunkway alarms`.
#[derive(Debug, Args)]
#[command(after_help = ALARM_EXAMPLES)]
pub struct AlarmArguments {
    /// Only those that there are, or only those that have gone.
    #[arg(long)]
    pub state: Option<Which>,

    #[command(flatten)]
    pub extent: Extent,

    #[command(flatten)]
    pub door: Door,
}

/// Which alarms are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Which {
    Current,
    Cleared,
}

/// Runs `trunkway health`.
pub fn health(arguments: &HealthArguments) -> Output {
    let mut code = 0;
    let ask = |client: &super::Client| {
        let report = client.get("/v1/health")?;
        code = exit_code(&report);
        Ok(report)
    };
    let output = arguments.door.show(ask, told);
    // One who could not ask has the code of that.
    if output.code == 0 { Output { code, ..output } } else { output }
}

fn exit_code(report: &Value) -> u8 {
    match report.get("health").and_then(Value::as_str) {
        Some("ok") => 0,
        Some("warning") => EXIT_WARNING,
        _ => EXIT_ERROR,
    }
}

/// Health and its causes, each with what to do.
fn told(report: &Value) -> String {
    let mut text = field(report, "health") + "\n";
    for cause in report.get("causes").and_then(Value::as_array).into_iter().flatten() {
        text += &format!("\n{}: {}\n", field(cause, "severity"), field(cause, "text"));
        let advice = field(cause, "advice");
        if !advice.is_empty() {
            text += &format!("  {advice}\n");
        }
    }
    match report.get("more").and_then(Value::as_u64) {
        None | Some(0) => {}
        Some(more) => text += &format!("\n... and {more} more\n"),
    }
    text
}

/// Runs `trunkway alarms`.
pub fn alarms(arguments: &AlarmArguments) -> Output {
    let AlarmArguments { state, extent, door } = arguments;
    let query = match state {
        None => "",
        Some(Which::Current) => "&state=current",
        Some(Which::Cleared) => "&state=cleared",
    };
    door.show(|client| client.pages("/v1/alarms", query, "alarms", extent.most()), listed)
}

fn listed(page: &Value) -> String {
    let row = |alarm: &Value| {
        let time = |key: &str| alarm.get(key).and_then(Value::as_u64);
        let (since, until) = (time("since"), time("until"));
        let lasted = since.zip(until).map(|(since, until)| span(until.saturating_sub(since) / 1_000));
        vec![
            since.and_then(moment).unwrap_or_default(),
            lasted.unwrap_or_else(|| "current".to_owned()),
            field(alarm, "severity"),
            field(alarm, "name"),
            field(alarm, "text"),
        ]
    };
    let rows: Vec<Vec<String>> = page.get("alarms").and_then(Value::as_array).into_iter().flatten().map(row).collect();
    if rows.is_empty() {
        return "no alarms\n".to_owned();
    }
    columns(&["since", "lasted", "severity", "name", "text"], &rows) + more(page)
}

fn moment(millis: u64) -> Option<String> {
    let time = Timestamp::from_second(i64::try_from(millis / 1_000).ok()?).ok()?;
    Some(time.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn exit_code_is_that_of_a_plugin() {
        for (health, code) in [("ok", 0), ("warning", 1), ("error", 2), ("what", 2)] {
            assert_eq!(exit_code(&json!({ "health": health })), code);
        }
    }

    #[test]
    fn each_cause_says_what_to_do() {
        let cause =
            json!({ "severity": "error", "name": "trunk-down", "source": "a", "text": "a is down", "advice": "look" });
        let report = json!({ "health": "error", "causes": [cause], "more": 2 });
        assert_eq!(told(&report), "error\n\nerror: a is down\n  look\n\n... and 2 more\n");
        assert_eq!(told(&json!({ "health": "ok", "causes": [], "more": 0 })), "ok\n");
    }

    #[test]
    fn alarm_is_a_line_with_its_times() {
        let alarm = |until: Value| json!({ "id": 1, "severity": "warning", "name": "n", "text": "t", "since": 5_000, "until": until });
        let wanted = "\
since                 lasted     severity  name  text
1970-01-01T00:00:05Z  current    warning   n     t
1970-01-01T00:00:05Z  1 min 5 s  warning   n     t
";
        assert_eq!(listed(&json!({ "alarms": [alarm(Value::Null), alarm(json!(70_000))], "next": null })), wanted);
        assert_eq!(listed(&json!({ "alarms": [], "next": null })), "no alarms\n");
    }
}
