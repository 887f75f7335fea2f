//! Rows of a dial plan file: `dialPlanName,prefix,tag` or `prefix,tag`, with or without a header line; a header, or a
//! fourth and fifth column, may add `owner` and `active`.
//!
//! Blanks around a value, double quotes around it, a byte order mark and empty lines do not matter, and a comma inside
//! `[...]` or quotes does not end a value.

use std::ops::Range;

/// A row, or what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// Index of the line, from zero.
    pub line: usize,
    /// Where the row stands in the text.
    pub span: Range<usize>,
    pub fields: Result<Fields<'a>, &'static str>,
}

/// The values of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields<'a> {
    /// `None` in a file of two columns.
    pub plan: Option<&'a str>,
    pub prefix: &'a str,
    pub tag: &'a str,
    /// Empty when the file does not say.
    pub owner: &'a str,
    pub active: bool,
}

/// Reads rows; a file may be given to it in parts, each of whole lines.
#[derive(Clone, Debug, Default)]
pub struct RowReader {
    line: usize,
    begun: bool,
    /// Which column each value is, from the header; `None`: by their number.
    columns: Option<[Option<u8>; COLUMNS.len()]>,
}

/// The columns that a header may name, in lower case.
const COLUMNS: [&str; 5] = ["dialplanname", "prefix", "tag", "owner", "active"];

/// More columns than this are not looked at: there is one too many.
const MAX_COLUMNS: usize = COLUMNS.len();

const WRONG_COLUMNS: &str = "a row has the columns `dialPlanName,prefix,tag` or `prefix,tag`";

impl RowReader {
    /// The rows of the next part of a file; spans count from the beginning of the part.
    pub fn rows<'s, 't>(&'s mut self, text: &'t str) -> impl Iterator<Item = Row<'t>> + use<'s, 't> {
        let mut start = 0;
        std::iter::from_fn(move || {
            while start < text.len() {
                let begin = start;
                let rest = text.get(begin..)?;
                let length = memchr::memchr(b'\n', rest.as_bytes()).map_or(rest.len(), |at| at + 1);
                start += length;
                let line = self.line;
                self.line += 1;
                let whole = text.get(begin..start)?;
                let bare = if line == 0 { whole.trim_start_matches('\u{feff}') } else { whole };
                let content = bare.trim_ascii();
                if content.is_empty() || (!std::mem::replace(&mut self.begun, true) && self.is_header(content)) {
                    continue;
                }
                let begin = begin + (whole.len() - bare.len()) + (bare.len() - bare.trim_ascii_start().len());
                return Some(Row { line, span: begin..begin + content.len(), fields: self.fields(content) });
            }
            None
        })
    }

    fn is_header(&mut self, line: &str) -> bool {
        let Some((values, count)) = split(line) else { return false };
        let mut columns = [None; COLUMNS.len()];
        for (at, value) in (0..).zip(values.iter().take(count)) {
            let Some(column) = COLUMNS.iter().position(|name| value.eq_ignore_ascii_case(name)) else { return false };
            if let Some(slot) = columns.get_mut(column) {
                *slot = Some(at);
            }
        }
        let [plan, prefix, tag, owner, active] = columns;
        if prefix.is_none() || tag.is_none() {
            return false;
        }
        // In the usual order the rows themselves tell: those of one file may differ in their number of columns.
        let in_order = columns.iter().flatten().copied().eq(0..count as u8);
        let is_usual = in_order && (plan.is_some() == (count > 2)) && (owner.is_some() || active.is_none());
        self.columns = Some(columns).filter(|_| !is_usual);
        true
    }

    fn fields<'a>(&self, line: &'a str) -> Result<Fields<'a>, &'static str> {
        let (values, count) = split(line).ok_or(WRONG_COLUMNS)?;
        let [first, second, third, fourth, fifth] = values;
        let (plan, prefix, tag, owner, active) = match (&self.columns, count) {
            (Some(columns), _) => {
                let [plan, prefix, tag, owner, active] = *columns;
                if count != columns.iter().flatten().count() {
                    return Err("the row has another number of columns than the header");
                }
                let value = |at: Option<u8>| at.and_then(|at| values.get(usize::from(at))).copied();
                (value(plan), value(prefix).unwrap_or(""), value(tag).unwrap_or(""), value(owner), value(active))
            }
            (None, 2) => (None, first, second, None, None),
            (None, 3) => (Some(first), second, third, None, None),
            (None, 4) => (Some(first), second, third, Some(fourth), None),
            (None, 5) => (Some(first), second, third, Some(fourth), Some(fifth)),
            (None, _) => return Err(WRONG_COLUMNS),
        };
        let active = match active {
            None | Some("" | "1") => true,
            Some("0") => false,
            Some(word) if word.eq_ignore_ascii_case("true") || word.eq_ignore_ascii_case("yes") => true,
            Some(word) if word.eq_ignore_ascii_case("false") || word.eq_ignore_ascii_case("no") => false,
            Some(_) => return Err("`active` is `true` or `false`"),
        };
        match (plan, prefix, tag) {
            (Some(""), ..) => Err("the row names no dial plan"),
            (_, "", _) => Err("the row has no prefix"),
            (.., "") => Err("the row has no tag"),
            _ => Ok(Fields { plan, prefix, tag, owner: owner.unwrap_or(""), active }),
        }
    }
}

/// The values of a line and how many there are; `None`: too many, or a quote that is not closed.
fn split(line: &str) -> Option<([&str; MAX_COLUMNS], usize)> {
    let mut values = [""; MAX_COLUMNS];
    let mut count = 0;
    let mut rest = line;
    loop {
        let slot = values.get_mut(count)?;
        count += 1;
        rest = rest.trim_ascii_start();
        if let Some(quoted) = rest.strip_prefix('"') {
            let (value, after) = quoted.split_once('"')?;
            *slot = value.trim_ascii();
            let after = after.trim_ascii_start();
            if after.is_empty() {
                return Some((values, count));
            }
            rest = after.strip_prefix(',')?;
            continue;
        }
        let Some(comma) = separator(rest.as_bytes()) else {
            *slot = rest.trim_ascii_end();
            return Some((values, count));
        };
        let (value, after) = rest.split_at_checked(comma)?;
        *slot = value.trim_ascii_end();
        rest = after.get(1..)?;
    }
}

/// The first comma that is not inside `[...]`.
fn separator(text: &[u8]) -> Option<usize> {
    let comma = memchr::memchr(b',', text)?;
    let Some(open) = memchr::memchr(b'[', text.get(..comma)?) else { return Some(comma) };
    let close = open + memchr::memchr(b']', text.get(open..)?)?;
    separator(text.get(close..)?).map(|at| close + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(usize, Option<String>, String, String, String, bool)> {
        let mut reader = RowReader::default();
        let rows = reader.rows(text).map(|row| {
            let fields = row.fields.unwrap();
            let owned = |text: &str| text.to_owned();
            let (plan, prefix) = (fields.plan.map(owned), owned(fields.prefix));
            (row.line, plan, prefix, owned(fields.tag), owned(fields.owner), fields.active)
        });
        rows.collect()
    }

    #[test]
    fn owner_and_active_come_by_header_or_by_number() {
        let row = |line, owner: &str, active| {
            (line, Some("A".to_owned()), "+1".to_owned(), "x".to_owned(), owner.to_owned(), active)
        };
        let text = "owner,dialPlanName,active,prefix,tag\nacme,A,false,+1,x\n, A ,TRUE,+1,x";
        assert_eq!(read(text), [row(1, "acme", false), row(2, "", true)]);
        let text = "prefix,tag,owner\n+1,x,acme";
        assert_eq!(read(text), [(1, None, "+1".to_owned(), "x".to_owned(), "acme".to_owned(), true)]);
        assert_eq!(read("A,+1,x,acme,0\nA,+1,x,acme"), [row(0, "acme", false), row(1, "acme", true)]);
    }

    #[test]
    fn commas_inside_brackets_and_quotes_belong_to_the_value() {
        let one = |text: &str| read(text).pop().map(|row| (row.2, row.3)).unwrap();
        assert_eq!(one("A,+1[1,3,5-7]4[0,1],x"), ("+1[1,3,5-7]4[0,1]".to_owned(), "x".to_owned()));
        assert_eq!(one("A, \"[1,3]\" ,\"x,y\""), ("[1,3]".to_owned(), "x,y".to_owned()));
    }

    #[test]
    fn file_in_parts_is_read_as_one() {
        let text = "\u{feff}prefix,tag\r\n1,x\r\n\r\n2,y\n3,z";
        let mut reader = RowReader::default();
        let mut lines = Vec::new();
        for part in text.split_inclusive('\n') {
            lines.extend(reader.rows(part).map(|row| (row.line, row.fields.unwrap().prefix.to_owned())));
        }
        assert_eq!(lines, [(1, "1".to_owned()), (3, "2".to_owned()), (4, "3".to_owned())]);
        assert!(RowReader::default().rows("1,\"x").all(|row| row.fields.is_err()));
        assert!(RowReader::default().rows("tag,prefix\n1,2,3").all(|row| row.fields.is_err()));
    }
}
