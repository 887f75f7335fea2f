//! `[records]`: records of calls that are over: files, history.

use std::path::PathBuf;
use std::time::Duration;

use super::log::Draft;
use super::reader::Table;

/// Records of calls that are over: files, history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Records {
    /// The file that records are written to; `None`: none.
    pub file: Option<PathBuf>,
    pub format: RecordFormat,
    /// A file of so many bytes is closed, and the next one begun.
    pub max_file_bytes: u64,
    pub rotate: Rotate,
    /// Closed files that are kept; zero: all of them.
    pub keep_files: usize,
    /// How often what was written is brought to the disk; zero: when the system does it.
    pub sync: Duration,
    /// Records that wait for the file, and as many for the history.
    pub queue: usize,
    /// The last digits of a number that are written; `None`: all of them.
    pub mask_numbers: Option<usize>,
    /// Whether there is a history, where there is a state directory.
    pub history: bool,
    pub history_days: u64,
    pub history_max_records: u64,
}

impl Default for Records {
    fn default() -> Self {
        Self {
            file: None,
            format: RecordFormat::Json,
            max_file_bytes: 256 << 20,
            rotate: Rotate::Daily,
            keep_files: 30,
            sync: Duration::from_secs(1),
            queue: 10_000,
            mask_numbers: None,
            history: true,
            history_days: 30,
            history_max_records: 1_000_000,
        }
    }
}

/// How records are written into files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordFormat {
    /// RFC 4180, with a line of names above.
    Csv,
    /// An object a line.
    Json,
}

/// When a file is closed that is not full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotate {
    /// At midnight UTC.
    Daily,
    Hourly,
    Never,
}

/// Most digits that a masked number keeps: with more, nothing would be masked.
pub(super) const MAX_KEPT_DIGITS: u64 = 14;

/// `has_state`: there is a state directory.
pub(super) fn read(mut table: Table<'_>, has_state: bool) -> Records {
    let d = Records::default();
    let t = &mut table;
    let history = t.boolean("history");
    if let Some(history) = &history
        && history.value
        && !has_state
    {
        let message = format!("{}: `history` has no place: there is no `dir` in [state]", t.title);
        t.log().add(Draft::warning(history.place, message).help("give [state] a `dir` that the edge may write to"));
    }
    let records = Records {
        file: t.path("file").map(|path| path.value),
        format: t
            .choice("format", &[("json", RecordFormat::Json), ("csv", RecordFormat::Csv)])
            .map_or(d.format, |format| format.value),
        max_file_bytes: t.number("max_file_bytes", 65_536..=1 << 40).map_or(d.max_file_bytes, |bytes| bytes.value),
        rotate: t
            .choice("rotate", &[("daily", Rotate::Daily), ("hourly", Rotate::Hourly), ("never", Rotate::Never)])
            .map_or(d.rotate, |rotate| rotate.value),
        keep_files: t.count("keep_files", 0..=100_000, d.keep_files),
        sync: t.millis("sync_ms", 0..=60_000, d.sync),
        queue: t.count("queue", 16..=1_000_000, d.queue),
        mask_numbers: kept_digits(t),
        history: history.map_or(d.history, |history| history.value),
        history_days: t.number("history_days", 1..=3_650).map_or(d.history_days, |days| days.value),
        history_max_records: t
            .number("history_max_records", 1_000..=1_000_000_000)
            .map_or(d.history_max_records, |records| records.value),
    };
    table.finish();
    records
}

/// Reads `mask_numbers`.
pub(super) fn kept_digits(table: &mut Table<'_>) -> Option<usize> {
    table.number("mask_numbers", 0..=MAX_KEPT_DIGITS).and_then(|digits| usize::try_from(digits.value).ok())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Faults, Loaded, load_str};
    use super::*;

    fn with(text: &str) -> Result<Loaded, Faults> {
        load_str("edge.toml", &format!("[node]\nname = \"edge-1\"\n{text}"), Path::new(""))
    }

    #[test]
    fn keys_are_read_and_defaults_stand() {
        let loaded = with("").unwrap();
        assert_eq!(loaded.config.records, Records::default());
        let text = "[state]\ndir = \"state\"\n[records]\nfile = \"calls.csv\"\nformat = \"csv\"\nmax_file_bytes = 65536\n\
            rotate = \"hourly\"\nkeep_files = 0\nsync_ms = 0\nqueue = 16\nmask_numbers = 3\nhistory = true\n\
            history_days = 1\nhistory_max_records = 1000\n";
        let loaded = with(text).unwrap();
        assert!(!loaded.warnings.to_string().contains("history"), "{}", loaded.warnings);
        let wanted = Records {
            file: Some(PathBuf::from("calls.csv")),
            format: RecordFormat::Csv,
            max_file_bytes: 65_536,
            rotate: Rotate::Hourly,
            keep_files: 0,
            sync: Duration::ZERO,
            queue: 16,
            mask_numbers: Some(3),
            history: true,
            history_days: 1,
            history_max_records: 1_000,
        };
        assert_eq!(loaded.config.records, wanted);
    }

    #[test]
    fn faults_are_told() {
        for (line, told) in [
            ("format = \"xml\"", "`xml` is none of `json`, `csv`"),
            ("rotate = \"weekly\"", "is none of `daily`, `hourly`, `never`"),
            ("queue = 1", "`queue` must be from 16 to 1000000"),
            ("mask_numbers = 15", "`mask_numbers` must be from 0 to 14"),
            ("history = 1", "`history` must be true or false"),
            ("files = \"x\"", "no key `files`"),
        ] {
            let faults = with(&format!("[records]\n{line}\n")).unwrap_err();
            assert!(faults.to_string().contains(told), "{line}: {faults}");
        }
        let loaded = with("[records]\nhistory = true\n").unwrap();
        assert!(loaded.warnings.to_string().contains("there is no `dir` in [state]"), "{}", loaded.warnings);
    }
}
