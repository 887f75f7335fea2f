//! `trunkway log`: what the running edge logs.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Door, Failure, columns, field, seconds};
use crate::cli::Output;

/// Arguments of `trunkway log`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trunkway log show
  trunkway log set info,trunkway::transport=debug --for 10m
  trunkway log reset")]
pub struct Arguments {
    #[command(subcommand)]
    pub what: What,
}

/// What is done with the log.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Tell what is logged now.
    Show(Show),

    /// Log something else.
    Set(Set),

    /// Log again what the configuration, or the command line of the edge, asks for.
    Reset(Show),
}

/// Arguments of `trunkway log show`.
#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    pub door: Door,
}

/// Arguments of `trunkway log set`.
#[derive(Debug, Args)]
pub struct Set {
    /// Levels, in the syntax of `RUST_LOG`: `debug`, `info,trunkway::transport=debug`.
    #[arg(value_name = "FILTER")]
    pub filter: String,

    /// For how long, at most a day: `90s`, `10m`, `2h`. Default: until they are set anew, or the edge is restarted.
    #[arg(long = "for", value_name = "TIME")]
    pub time: Option<String>,

    #[command(flatten)]
    pub door: Door,
}

/// Runs it.
pub fn log(arguments: &Arguments) -> Output {
    match &arguments.what {
        What::Show(Show { door }) => door.show(|client| client.get("/v1/log"), words),
        What::Reset(Show { door }) => door.show(|client| client.put("/v1/log", &json!({})), words),
        What::Set(Set { filter, time, door }) => door.show(
            |client| {
                let seconds = time.as_deref().map(span).transpose()?;
                client.put("/v1/log", &json!({ "filter": filter, "for_s": seconds }))
            },
            words,
        ),
    }
}

/// How long other levels hold, in seconds. Days are none of it: what is logged for so long belongs into the configuration.
fn span(text: &str) -> Result<u64, Failure> {
    let fault = || Failure::Fault(format!("--for: `{text}` is no time: write it as 90s, 10m or 2h"));
    seconds(text).filter(|_| !text.ends_with('d')).ok_or_else(fault)
}

fn words(status: &Value) -> String {
    let rows =
        ["filter", "configured", "until", "format", "dropped"].map(|name| vec![name.to_owned(), field(status, name)]);
    let rows: Vec<Vec<String>> = rows.into_iter().filter(|row| row.iter().all(|cell| !cell.is_empty())).collect();
    columns(&[], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_levels_shown() {
        for (text, wanted) in
            [("90s", Some(90)), ("10m", Some(600)), ("2h", Some(7_200)), ("2", None), ("", None), ("xh", None)]
        {
            assert_eq!(span(text).ok(), wanted, "{text}");
        }
        let status = json!({ "filter": "debug", "configured": "info", "until": null, "format": "text", "dropped": 0 });
        assert_eq!(words(&status), "filter      debug\nconfigured  info\nformat      text\ndropped     0\n");
    }
}
