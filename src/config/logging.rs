//! `[log]`: what is logged, and how.

use super::reader::{Complaint, Table, quoted};
use super::records::kept_digits;

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logging {
    /// `off`, `error`, `warn`, `info` or `debug`.
    pub level: String,
    /// Levels of single modules, by their paths.
    pub levels: Vec<(String, String)>,
    pub format: LogFormat,
    /// The last digits of a number that a line has; `None`: all of them.
    pub mask_numbers: Option<usize>,
    /// Lines that wait to be written.
    pub queue: usize,
}

impl Default for Logging {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            levels: Vec::new(),
            format: LogFormat::Auto,
            mask_numbers: None,
            queue: 10_000,
        }
    }
}

impl Logging {
    /// The levels as one filter, in the syntax of `RUST_LOG`.
    pub fn filter(&self) -> String {
        let levels = self.levels.iter().map(|(module, level)| format!(",{module}={level}"));
        self.level.clone() + &levels.collect::<String>()
    }
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// To the journal where standard error leads there, else text.
    Auto,
    /// To the journal, with fields.
    Journald,
    /// An object a line.
    Json,
    Text,
}

/// Levels in words; `trace` is not built in.
const LEVELS: [&str; 5] = ["off", "error", "warn", "info", "debug"];

pub(super) fn read(mut table: Table<'_>) -> Logging {
    let d = Logging::default();
    let t = &mut table;
    let level = t.parsed("level", level);
    let mut levels = Vec::new();
    for (name, text) in t.texts_by_name("levels") {
        let known = match module(name.value) {
            Ok(()) => level_of(t, text),
            Err(complaint) => {
                t.complain("levels", name.place, complaint);
                None
            }
        };
        levels.extend(known.map(|known| (name.value.to_owned(), known)));
    }
    let formats = [
        ("auto", LogFormat::Auto),
        ("text", LogFormat::Text),
        ("json", LogFormat::Json),
        ("journald", LogFormat::Journald),
    ];
    let logging = Logging {
        level: level.map_or(d.level, |level| level.value),
        levels,
        format: t.choice("format", &formats).map_or(d.format, |format| format.value),
        mask_numbers: kept_digits(t),
        queue: t.count("queue", 100..=1_000_000, d.queue),
    };
    table.finish();
    logging
}

fn level_of(table: &Table<'_>, text: super::log::At<&str>) -> Option<String> {
    level(text.value).map_err(|complaint| table.complain("levels", text.place, complaint)).ok()
}

fn level(text: &str) -> Result<String, Complaint> {
    let known = LEVELS.contains(&text);
    known.then(|| text.to_owned()).ok_or_else(|| {
        let known = LEVELS.map(|level| format!("`{level}`")).join(", ");
        Complaint::new(format!("{} is none of {known}", quoted(text)))
    })
}

fn module(name: &str) -> Result<(), Complaint> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':');
    let is_path = !name.is_empty() && name.bytes().all(fits);
    let complaint = || Complaint::new(format!("{} is no path of a module", quoted(name)));
    is_path.then_some(()).ok_or_else(|| complaint().help("such as \"trunkway::transport\""))
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
    fn levels_make_a_filter() {
        assert_eq!(with("").unwrap().config.logging, Logging::default());
        assert_eq!(Logging::default().filter(), "info");
        let text = "[log]\nlevel = \"warn\"\nlevels = { \"trunkway::transport\" = \"debug\", rustls = \"off\" }\n\
            format = \"json\"\nmask_numbers = 0\nqueue = 100\n";
        let logging = with(text).unwrap().config.logging;
        assert_eq!(logging.filter(), "warn,rustls=off,trunkway::transport=debug");
        assert_eq!((logging.format, logging.mask_numbers, logging.queue), (LogFormat::Json, Some(0), 100));
    }

    #[test]
    fn faults_are_told() {
        for (line, told) in [
            ("level = \"loud\"", "`loud` is none of `off`, `error`"),
            ("levels = { \"a b\" = \"info\" }", "`a b` is no path of a module"),
            ("levels = { trunkway = \"loud\" }", "`loud` is none of"),
            ("levels = { trunkway = 1 }", "`levels` must be a table of strings"),
            ("levels = \"info\"", "`levels` must be a table"),
            ("format = \"xml\"", "`xml` is none of `auto`, `text`, `json`, `journald`"),
            ("queue = 1", "`queue` must be from 100 to 1000000"),
        ] {
            let faults = with(&format!("[log]\n{line}\n")).unwrap_err();
            assert!(faults.to_string().contains(told), "{line}: {faults}");
        }
    }
}
