//! Hides the passwords of user files.

use super::line::{self, Brackets};
use super::rows::{Column, header};

/// The text of a user file with its passwords masked, fit for excerpts: each hidden byte becomes one `*`, so that places
/// stay where they are. `None`: there is nothing to hide.
///
/// Where it is not sure which value is the password, as in a row of too many values, all but the first are hidden.
pub fn masked(text: &str) -> Option<String> {
    let mut shown = String::with_capacity(text.len());
    let mut columns: Option<Result<Vec<Column>, ()>> = None;
    for whole in text.split_inclusive('\n') {
        let bare = if shown.is_empty() { whole.trim_start_matches('\u{feff}') } else { whole };
        let content = bare.trim_ascii();
        let begin = whole.len() - bare.trim_ascii_start().len();
        let (before, after) = whole.split_at_checked(begin).unwrap_or((whole, ""));
        let after = after.get(content.len()..).unwrap_or_default();
        shown.push_str(before);
        match &columns {
            _ if content.is_empty() => {}
            None => {
                let read = header(content, 0);
                match &read {
                    // The names that are wrong may be told: that it is a header is sure.
                    Err(faults) if faults.iter().any(|fault| fault.fault == super::UserRowFault::NoHeader) => {
                        hide_rest(&mut shown, content);
                    }
                    _ => shown.push_str(content),
                }
                columns = Some(read.map_err(|_| ()));
            }
            Some(Err(())) => hide_rest(&mut shown, content),
            Some(Ok(columns)) => hide_password(&mut shown, content, columns),
        }
        shown.push_str(after);
    }
    (shown != text).then_some(shown)
}

fn hide_password(shown: &mut String, row: &str, columns: &[Column]) {
    let values = line::split(row, Brackets::Plain).ok().filter(|values| values.len() == columns.len());
    let Some(values) = values else { return hide_rest(shown, row) };
    let Some(at) = columns.iter().position(|column| *column == Column::RegisterPassword) else {
        return shown.push_str(row);
    };
    let span = values.get(at).map_or(0..row.len(), |value| value.span.clone());
    shown.push_str(row.get(..span.start).unwrap_or_default());
    stars(shown, span.len());
    shown.push_str(row.get(span.end..).unwrap_or_default());
}

/// Hides all behind the first comma.
fn hide_rest(shown: &mut String, row: &str) {
    let comma = row.find(',').map_or(0, |comma| comma + 1);
    let (first, rest) = row.split_at_checked(comma).unwrap_or((row, ""));
    shown.push_str(first);
    stars(shown, rest.len());
}

fn stars(shown: &mut String, count: usize) {
    shown.extend(std::iter::repeat_n('*', count));
}
