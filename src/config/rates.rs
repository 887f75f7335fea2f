//! `rates` and `rates_files` of a trunk: what it asks for calls, by number prefix.

use std::ops::Range;
use std::sync::Arc;

use super::dialplans::prefix_help;
use super::log::{At, Draft, FileId, Log, Place};
use super::reader::{Table, quoted};
use super::sheets::Sheets;
use super::stretches::Stretches;
use crate::routing::people::line::{self, Brackets, Value};
use crate::routing::{Plan, Rates, Rules, price};

/// The rates of a trunk; `None`: it says nothing of prices.
pub(super) fn read(log: &Log, table: &mut Table<'_>, sheets: &mut Sheets, max: usize) -> Option<Rates> {
    let given = table.has("rates") || table.has("rates_files");
    let mut reading = Reading {
        log,
        title: table.title.clone(),
        // Carriers write prefixes with and without it.
        rules: Rules::new(max).normalize(true),
        stretches: Stretches::default(),
    };
    for file in sheets.named(table, "rates_files") {
        reading.file(file);
    }
    let title = format!("a rate of {}", table.title);
    for mut rate in table.tables("rates", "trunk.NAME.rates", |_| title.clone()) {
        let (prefix, price) = (rate.required("prefix"), rate.required("price"));
        rate.finish();
        if let (Some(prefix), Some(price)) = (prefix, price) {
            let origin = reading.stretches.place(prefix.place);
            reading.add(prefix, price, origin);
        }
    }
    given.then(|| reading.finish())
}

struct Reading<'l> {
    log: &'l Log,
    title: String,
    rules: Rules,
    stretches: Stretches,
}

impl Reading<'_> {
    fn file(&mut self, file: FileId) {
        let text = self.log.text(file);
        let base = self.stretches.lines(self.log, file);
        let mut first = true;
        for (number, span) in lines(&text) {
            let row = text.get(span.clone()).unwrap_or_default();
            let place = |part: Range<usize>| Place::new(file, span.start + part.start..span.start + part.end);
            let values = line::split(row, Brackets::KeepCommas);
            let (prefix, price) = match values.as_deref() {
                Ok([prefix, price]) => (prefix, price),
                Ok(_) => {
                    let message = format!("{}: a row of rates has the columns `prefix,price`", self.title);
                    self.log.add(Draft::error(place(0..row.len()), message));
                    continue;
                }
                Err(error) => {
                    let message = format!("{}: {error}", self.title);
                    self.log.add(Draft::error(place(error.at..row.len()), message));
                    continue;
                }
            };
            let is_header = prefix.text.eq_ignore_ascii_case("prefix") && price.text.eq_ignore_ascii_case("price");
            if std::mem::take(&mut first) && is_header {
                continue;
            }
            let origin = base.saturating_add(u32::try_from(number).unwrap_or(u32::MAX));
            let at = |value: &Value<'_>| place(value.span.clone());
            self.add(At::new(&prefix.text, at(prefix)), At::new(&price.text, at(price)), origin);
        }
    }

    fn add(&mut self, prefix: At<&str>, rate: At<&str>, origin: u32) {
        let rate = At::new(rate.value.trim(), rate.place);
        if price(rate.value).is_none() {
            if self.log.is_full() {
                return self.log.count(1);
            }
            let message = format!("{}: {} is no price", self.title, quoted(rate.value));
            let help = "write a decimal with at most six places, such as \"0.0125\"";
            return self.log.add(Draft::error(rate.place, message).help(help));
        }
        if let Err(error) = self.rules.add(prefix.value.trim(), rate.value, origin) {
            if self.log.is_full() {
                return self.log.count(1);
            }
            let message = format!("{}: prefix {}: {error}", self.title, quoted(prefix.value));
            self.log.add(Draft::error(prefix.place, message).maybe_help(prefix_help(error)));
        }
    }

    fn finish(self) -> Rates {
        let (plan, conflicts) = Plan::new(Arc::from("rates"), self.rules, |_| None);
        for (told, conflict) in conflicts.iter().enumerate() {
            if self.log.is_full() {
                self.log.count(conflicts.len() - told);
                break;
            }
            let place = |origin| self.stretches.find(self.log, origin);
            if let (Some(kept), Some(dropped)) = (place(conflict.kept), place(conflict.dropped)) {
                let message = format!("{}: one prefix with two prices", self.title);
                self.log.add(Draft::error(dropped, message).label("again").also(kept, "first"));
            }
        }
        Rates(plan)
    }
}

/// The lines of a file that are not empty: the index of each, and where its content is.
fn lines(text: &str) -> impl Iterator<Item = (usize, Range<usize>)> {
    let mut start = 0;
    text.split_inclusive('\n').enumerate().filter_map(move |(number, whole)| {
        let from = start;
        start += whole.len();
        let bare = if number == 0 { whole.trim_start_matches('\u{feff}') } else { whole };
        let begin = from + (whole.len() - bare.len()) + (bare.len() - bare.trim_ascii_start().len());
        let content = bare.trim_ascii();
        (!content.is_empty()).then(|| (number, begin..begin + content.len()))
    })
}
