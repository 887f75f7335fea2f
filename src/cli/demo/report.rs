//! The demo's result as a table and as JSON.

use std::fmt::Write as _;

use serde::Serialize;

use super::Cost;
use crate::lab::Complaint;

/// Most complaints that the text shows.
const SHOWN: usize = 20;

/// One thing that was tried.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub name: String,
    /// What the calling side saw.
    pub caller: String,
    /// What the called side saw.
    pub callee: String,
    pub passed: bool,
    /// Why it failed.
    pub reason: Option<String>,
}

/// All that the demo found.
#[derive(Clone, Debug, Serialize)]
pub struct DemoReport {
    pub rows: Vec<Row>,
    pub complaints: Vec<Complaint>,
    /// One of the calls as a drawing.
    pub ladder: String,
    pub cost: Cost,
    /// The configuration of the edge, when it was asked for.
    pub config: Option<String>,
}

impl DemoReport {
    /// Whether every call did what it should; decides the exit code.
    pub fn passed(&self) -> bool {
        self.rows.iter().all(|row| row.passed)
    }

    /// One JSON object.
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Whole<'a> {
            passed: bool,
            #[serde(flatten)]
            report: &'a DemoReport,
        }
        // Strings and numbers only: this cannot fail, and an empty object says so if it ever does.
        serde_json::to_string_pretty(&Whole { passed: self.passed(), report: self }).unwrap_or_else(|_| "{}".into())
    }

    /// For a terminal of 100 columns.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        if let Some(config) = &self.config {
            out.push_str(config);
            out.push('\n');
        }
        if !self.ladder.is_empty() {
            out.push_str(&self.ladder);
            out.push('\n');
        }
        self.table(&mut out);
        for complaint in self.complaints.iter().take(SHOWN) {
            // Writing into a String cannot fail; so too below.
            let _ = writeln!(out, "complaint of {}: {}: {}", complaint.by, complaint.about, complaint.text);
        }
        if self.complaints.len() > SHOWN {
            let _ = writeln!(out, "and {} more", self.complaints.len() - SHOWN);
        }
        let good = self.rows.iter().filter(|row| row.passed).count();
        let _ = writeln!(out, "\n{good} of {} passed", self.rows.len());
        let cost = &self.cost;
        let _ = writeln!(
            out,
            "{} messages, {} ms of CPU, {:.1} MiB at most, {:.1} s on the clock (edge and stand-ins together)",
            cost.messages,
            cost.cpu_ms,
            cost.peak_kib as f64 / 1024.0,
            cost.elapsed_ms as f64 / 1000.0
        );
        out
    }

    fn table(&self, out: &mut String) {
        let widest = |of: fn(&Row) -> &str| self.rows.iter().map(|row| of(row).chars().count()).max().unwrap_or(0);
        let (name, caller) = (widest(|row| &row.name), widest(|row| &row.caller));
        for (index, row) in self.rows.iter().enumerate() {
            let mark = if row.passed { "ok    " } else { "FAILED" };
            let line = format!("{:>2} {mark} {:name$}  {:caller$}  {}", index + 1, row.name, row.caller, row.callee);
            let _ = writeln!(out, "{}", line.trim_end());
            if let Some(reason) = &row.reason {
                let _ = writeln!(out, "          {reason}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_row_fails_the_report() {
        let row = |passed, reason: Option<&str>| Row {
            name: "a call".into(),
            caller: "200".into(),
            callee: "200".into(),
            passed,
            reason: reason.map(str::to_owned),
        };
        let mut report = DemoReport {
            rows: vec![row(true, None)],
            complaints: Vec::new(),
            ladder: String::new(),
            cost: Cost { messages: 3, ..Cost::default() },
            config: None,
        };
        assert!(report.passed());
        report.rows.push(row(false, Some("no answer in time")));
        assert!(!report.passed());
        let text = report.to_text();
        assert!(
            text.contains("FAILED a call") && text.contains("no answer in time") && text.contains("1 of 2 passed"),
            "{text}"
        );
        let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
        assert_eq!((json["passed"].as_bool(), json["cost"]["messages"].as_u64()), (Some(false), Some(3)));
    }
}
