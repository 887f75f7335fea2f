//! `trunkway certificates`: the certificates that the running edge shows.

use clap::Args;
use serde_json::Value;

use super::connections::names;
use super::{Door, Extent, columns, field, more};
use crate::cli::Output;

/// Arguments of `trunkway certificates`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trunkway certificates
  trunkway certificates --json")]
pub struct Arguments {
    #[command(flatten)]
    pub extent: Extent,

    #[command(flatten)]
    pub door: Door,
}

/// Runs it.
pub fn certificates(arguments: &Arguments) -> Output {
    let Arguments { extent, door } = arguments;
    door.show(|client| client.pages("/v1/certificates", "", "certificates", extent.most()), words)
}

fn words(page: &Value) -> String {
    const HEAD: [&str; 10] =
        ["file", "names", "serial", "issuer", "not_after", "days_left", "listeners", "trunks", "connections", "older"];
    let entries = page.get("certificates").and_then(Value::as_array).cloned().unwrap_or_default();
    let row = |entry: &Value| {
        let cell = |name: &&str| match *name {
            "names" | "listeners" | "trunks" => names(entry, name),
            "older" => field(entry, "older_connections"),
            name => field(entry, name),
        };
        HEAD.iter().map(cell).collect::<Vec<_>>()
    };
    columns(&HEAD, &entries.iter().map(row).collect::<Vec<_>>()) + more(page)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_certificate_has_a_line() {
        let certificate = json!({
            "file": "/etc/trunkway/edge.pem", "names": ["sbc.example.net", "*.example.net"], "subject": "x",
            "issuer": "Root", "serial": "0A", "not_before": "2026-01-01T00:00:00Z",
            "not_after": "2027-01-01T00:00:00Z", "chain_ends": "2027-01-01T00:00:00Z", "days_left": 40,
            "listeners": ["tls"], "trunks": ["teams"], "connections": 3, "older_connections": 1,
        });
        let wanted = "\
file                    names                          serial  issuer  not_after             days_left  listeners  trunks  connections  older
/etc/trunkway/edge.pem  sbc.example.net,*.example.net  0A      Root    2027-01-01T00:00:00Z  40         tls        teams   3            1
";
        assert_eq!(words(&json!({ "certificates": [certificate], "next": null })), wanted);
    }
}
