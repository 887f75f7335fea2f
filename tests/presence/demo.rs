//! The presence part of `trunkway demo`: a call makes its user busy in the stand-in for Graph, hanging up clears it.

use serde_json::Value;

use crate::support::edge::trunkway;
use crate::support::place::Place;

#[test]
fn the_demo_shows_a_call_in_teams_and_its_end() {
    // Not beside a test that measures: its flood leaves no processor for a call of two seconds.
    let _turn = Place::new();
    let output = trunkway("demo").args(["--json", "--config"]).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
    let rows = report["rows"].as_array().unwrap();
    let row = rows.iter().find(|row| row["name"] == "a call makes its user busy in Teams");
    let row = row.unwrap_or_else(|| panic!("no row of presence in {report:#}"));
    assert_eq!(row["passed"], true, "{row:#}");
    assert_eq!(row["callee"], "Teams: Busy/InACall, then clear");
    assert!(output.status.success(), "{report:#}");
    assert!(!out.contains("known to the demo only"), "the secret is shown");
}
