//! `trunkway history`: records of calls that are over.

use clap::Args;
use serde_json::Value;

use super::{Client, Door, Extent, columns, encoded, field, more};
use crate::cli::Output;

/// The columns of a call.
const HEAD: [&str; 7] = ["time", "from", "to", "tenant", "duration", "call", "result"];

/// Arguments of `trunkway history`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trunkway history --user anna@contoso.example --since 2h
  trunkway history --tenant contoso --since 2026-11-22 --until 2026-11-23 --outcome failed
  trunkway history --number +441632760001 --all --json
  trunkway history 9c1f00aa23b4d5e6")]
pub struct Arguments {
    /// All that is known of this call: sixteen hexadecimal digits, as logs and traces have them.
    #[arg(value_name = "CALL", conflicts_with_all = ["user", "number", "tenant", "trunk", "since", "until", "outcome"])]
    pub call: Option<String>,

    /// Calls of a user, by their id: to and from the number and the extension that they have now.
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,

    /// Calls to or from a number.
    #[arg(long, value_name = "NUMBER")]
    pub number: Option<String>,

    /// Calls of a tenant.
    #[arg(long, value_name = "ID")]
    pub tenant: Option<String>,

    /// Calls from or to a trunk.
    #[arg(long, value_name = "NAME")]
    pub trunk: Option<String>,

    /// Calls that began then or later: `2h`, `2026-11-22`, `2026-11-22T10:15:00Z`; dates are UTC.
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,

    /// Calls that began before that.
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,

    /// Calls that ended so: `answered`, `failed`, or an outcome as records have it.
    #[arg(long, value_name = "OUTCOME")]
    pub outcome: Option<String>,

    #[command(flatten)]
    pub extent: Extent,

    #[command(flatten)]
    pub door: Door,
}

/// Runs it.
pub fn history(arguments: &Arguments) -> Output {
    let Arguments { call, extent, door, .. } = arguments;
    match call {
        Some(call) => door.show(|client| client.get(&format!("/v1/history/{}", encoded(call))), one),
        None => {
            door.show(|client: &Client| client.pages("/v1/history", &query(arguments), "records", extent.most()), words)
        }
    }
}

fn query(arguments: &Arguments) -> String {
    let Arguments { user, number, tenant, trunk, since, until, outcome, .. } = arguments;
    let pairs = [
        ("user", user),
        ("number", number),
        ("tenant", tenant),
        ("trunk", trunk),
        ("since", since),
        ("until", until),
        ("outcome", outcome),
    ];
    let given = pairs.into_iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
    given.map(|(key, value)| format!("&{key}={}", encoded(value))).collect()
}

/// A line for each call.
fn words(page: &Value) -> String {
    let rows: Vec<Vec<String>> = records(page).iter().map(row).collect();
    if rows.is_empty() {
        return "no call fits\n".to_owned();
    }
    columns(&HEAD, &rows) + more(page)
}

fn row(record: &Value) -> Vec<String> {
    let first = |keys: &[&str]| keys.iter().map(|key| field(record, key)).find(|text| !text.is_empty());
    let party = |number: &str, trunk: &str| match (field(record, number), field(record, trunk)) {
        (number, trunk) if number.is_empty() => format!("({trunk})"),
        (number, trunk) if trunk.is_empty() => number,
        (number, trunk) => format!("{number} ({trunk})"),
    };
    let time = first(&["invited_at", "answered_at", "ended_at"]).unwrap_or_default();
    // Seconds are enough for people.
    let time = time.split('.').next().unwrap_or_default().replace('T', " ");
    let meaning = field(record, "meaning");
    let result = match (field(record, "result"), meaning.is_empty()) {
        (result, true) => result,
        (result, false) => format!("{result} ({meaning})"),
    };
    let (from, to) = (party("caller", "from_trunk"), party("called", "to_trunk"));
    vec![time, from, to, field(record, "tenant"), duration(record), field(record, "call"), result]
}

/// `1:02:03`, `2:03`; empty when it was never up.
fn duration(record: &Value) -> String {
    let Some(seconds) = record.get("duration_s").and_then(Value::as_f64) else { return String::new() };
    // Whole seconds of calls fit.
    let seconds = seconds.round() as u64;
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// All that is known of a call, a line for each thing.
fn one(page: &Value) -> String {
    let mut text = String::new();
    for (index, record) in records(page).iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        let fields = record.as_object().into_iter().flatten();
        let rows: Vec<Vec<String>> = fields
            .map(|(name, _)| vec![name.clone(), field(record, name)])
            .filter(|row| row.iter().all(|it| !it.is_empty()))
            .collect();
        text.push_str(&columns(&[], &rows));
    }
    text
}

fn records(page: &Value) -> &[Value] {
    page.get("records").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_call_is_a_line_in_words() {
        let answered = json!({
            "call": "00000000000000aa", "invited_at": "2026-11-22T10:15:00.123Z", "caller": "+441632760001",
            "from_trunk": "carrier", "called": "402", "to_trunk": "teams", "tenant": "contoso", "duration_s": 63.4,
            "result": "the callee hung up", "meaning": "",
        });
        let failed = json!({
            "call": "00000000000000ab", "invited_at": "", "ended_at": "2026-11-22T10:14:00.000Z", "caller": "",
            "from_trunk": "pbx", "called": "999", "to_trunk": "", "tenant": "", "duration_s": null,
            "result": "refused: busy", "meaning": "the user is signed in nowhere",
        });
        let page = json!({ "records": [answered, failed], "next": null });
        let wanted = "\
time                 from                     to           tenant   duration  call              result
2026-11-22 10:15:00  +441632760001 (carrier)  402 (teams)  contoso  1:03      00000000000000aa  the callee hung up
2026-11-22 10:14:00  (pbx)                    999                             00000000000000ab  refused: busy (the user is signed in nowhere)
";
        assert_eq!(words(&page), wanted);
        assert_eq!(words(&json!({ "records": [] })), "no call fits\n");
        assert!(one(&page).starts_with("call        00000000000000aa\n"), "{}", one(&page));
        assert_eq!(duration(&json!({ "duration_s": 3_723.2 })), "1:02:03");
    }

    #[test]
    fn what_is_asked_is_written_into_the_query() {
        use clap::Parser;
        #[derive(Parser)]
        struct Line {
            #[command(flatten)]
            arguments: Arguments,
        }
        let line = Line::parse_from(["history", "--number", "+44 1", "--since", "2h", "--outcome", "failed"]);
        assert_eq!(query(&line.arguments), "&number=%2B44%201&since=2h&outcome=failed");
        assert!(Line::try_parse_from(["history", "0000000000000001", "--user", "anna"]).is_err());
    }
}
