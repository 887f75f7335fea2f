//! What an event says, in the forms in which it is written. Nothing that a peer sent can end a line, or colour one.

use std::fmt::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};
use time::OffsetDateTime;
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

/// Longest value of a field, in bytes; what is longer is cut.
const MAX_VALUE: usize = 4_096;

/// What an event says.
#[derive(Clone, Debug)]
pub struct Line {
    pub level: Level,
    pub target: String,
    pub message: String,
    pub fields: Vec<(&'static str, Value)>,
}

impl Line {
    /// What an event says, also one of the `log` crate.
    pub fn of(event: &Event<'_>) -> Self {
        let metadata = event.metadata();
        let mut line = Self {
            level: *metadata.level(),
            target: metadata.target().to_owned(),
            message: String::new(),
            fields: Vec::new(),
        };
        event.record(&mut line);
        line
    }

    /// A line for people.
    pub fn text(&self, at: SystemTime, color: bool) -> Vec<u8> {
        let mut out = String::with_capacity(160);
        let (dim, bright, plain) = match (color, self.level) {
            (false, _) => ("", "", ""),
            (true, Level::ERROR) => ("\x1b[2m", "\x1b[31m", "\x1b[0m"),
            (true, Level::WARN) => ("\x1b[2m", "\x1b[33m", "\x1b[0m"),
            (true, Level::INFO) => ("\x1b[2m", "\x1b[32m", "\x1b[0m"),
            (true, _) => ("\x1b[2m", "\x1b[34m", "\x1b[0m"),
        };
        let (at, level, target) = (when(at), self.level.as_str(), &self.target);
        // Writing to a string does not fail.
        let _ = write!(out, "{dim}{at}{plain} {bright}{level:>5}{plain} {dim}{target}:{plain} ");
        push_escaped(&mut out, &self.message);
        for (name, value) in &self.fields {
            let _ = write!(out, " {dim}{name}={plain}");
            match value {
                Value::String(text) if needs_quotes(text) => {
                    out.push('"');
                    push_escaped(&mut out, &text.replace('\\', "\\\\").replace('"', "\\\""));
                    out.push('"');
                }
                Value::String(text) => push_escaped(&mut out, text),
                value => push_escaped(&mut out, &value.to_string()),
            }
        }
        out.push('\n');
        out.into_bytes()
    }

    /// A line of JSON: the fields beside `timestamp`, `level`, `target` and `message`.
    pub fn json(self, at: SystemTime) -> Vec<u8> {
        let mut object = Map::new();
        object.insert("timestamp".to_owned(), when(at).into());
        object.insert("level".to_owned(), self.level.as_str().into());
        object.insert("target".to_owned(), self.target.into());
        object.insert("message".to_owned(), self.message.into());
        for (name, value) in self.fields {
            object.entry(name).or_insert(value);
        }
        let mut out = Value::Object(object).to_string().into_bytes();
        out.push(b'\n');
        out
    }

    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            // What the `log` crate says of itself.
            ("log.target", Value::String(text)) => self.target = text,
            (name, _) if name.starts_with("log.") => {}
            (name, value) => self.fields.push((name, value)),
        }
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, bounded(format_args!("{value}")).into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, bounded(format_args!("{value:?}")).into());
    }
}

/// A text that takes no more than a value may have.
#[derive(Default)]
struct Bounded {
    text: String,
    is_cut: bool,
}

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_VALUE.saturating_sub(self.text.len());
        self.text.push_str(text.get(..text.floor_char_boundary(room)).unwrap_or_default());
        self.is_cut = text.len() > room;
        if self.is_cut { Err(fmt::Error) } else { Ok(()) }
    }
}

fn bounded(value: fmt::Arguments<'_>) -> String {
    let mut out = Bounded::default();
    // A value that is too long ends the writing of it, and that is what is wanted.
    let _ = out.write_fmt(value);
    if out.is_cut {
        out.text.push_str("...");
    }
    out.text
}

fn needs_quotes(text: &str) -> bool {
    text.is_empty() || text.chars().any(|letter| letter.is_whitespace() || matches!(letter, '"' | '='))
}

/// Whether a letter could end a line, move the cursor, or turn the direction of what follows.
fn is_unsafe(letter: char) -> bool {
    let turns = matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    letter.is_control() || turns || matches!(letter, '\u{2028}' | '\u{2029}')
}

fn push_escaped(out: &mut String, text: &str) {
    for letter in text.chars() {
        if is_unsafe(letter) {
            out.extend(letter.escape_default());
        } else {
            out.push(letter);
        }
    }
}

/// `2026-11-22T10:15:00.123456Z`.
fn when(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or_default();
    let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    let (hour, minute, second) = at.to_hms();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:06}Z", since.subsec_micros())
}

#[cfg(test)]
pub(super) mod tests;
