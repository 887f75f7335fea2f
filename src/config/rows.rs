//! Rows of a dial plan file: `dialPlanName,prefix,tag` or `prefix,tag`, with or without a header line.
//!
//! Blanks around a value, double quotes around it, a byte order mark and empty lines do not matter.

use std::ops::Range;

/// A row, or what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row<'a> {
    /// Index of the line, from zero.
    pub line: usize,
    /// Where the row stands in the file.
    pub span: Range<usize>,
    pub fields: Result<Fields<'a>, &'static str>,
}

/// The values of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fields<'a> {
    /// `None` in a file of two columns.
    pub plan: Option<&'a str>,
    pub prefix: &'a str,
    pub tag: &'a str,
}

/// All rows of a file, the header left out.
pub(super) fn rows(text: &str) -> impl Iterator<Item = Row<'_>> {
    let mut first = true;
    let mut end = 0;
    text.split_inclusive('\n').enumerate().filter_map(move |(line, whole)| {
        let start = end;
        end += whole.len();
        let bare = whole.trim_start_matches('\u{feff}');
        let content = bare.trim();
        if content.is_empty() {
            return None;
        }
        if std::mem::take(&mut first) && is_header(content) {
            return None;
        }
        // `content` is a part of `whole`, so the blanks before it are what is left of their difference.
        let begin = start + (whole.len() - whole.trim_start_matches(['\u{feff}', ' ', '\t']).len());
        Some(Row { line, span: begin..begin + content.len(), fields: fields(content) })
    })
}

/// The stretch of the file that holds line `line`.
pub(super) fn line_span(text: &str, line: usize) -> Range<usize> {
    let mut start = 0;
    for (index, whole) in text.split_inclusive('\n').enumerate() {
        if index == line {
            return start..start + whole.trim_end().len();
        }
        start += whole.len();
    }
    start..start
}

fn is_header(line: &str) -> bool {
    let names: Vec<String> = line.split(',').map(|name| value(name).to_ascii_lowercase()).collect();
    matches!(
        names.iter().map(String::as_str).collect::<Vec<_>>().as_slice(),
        ["dialplanname", "prefix", "tag"] | ["prefix", "tag"]
    )
}

fn fields(line: &str) -> Result<Fields<'_>, &'static str> {
    let mut values = line.split(',').map(value);
    let (first, second, third, more) = (values.next(), values.next(), values.next(), values.next());
    let fields = match (first, second, third, more) {
        (Some(plan), Some(prefix), Some(tag), None) => Fields { plan: Some(plan), prefix, tag },
        (Some(prefix), Some(tag), None, None) => Fields { plan: None, prefix, tag },
        _ => return Err("a row has the columns `dialPlanName,prefix,tag` or `prefix,tag`"),
    };
    match fields {
        Fields { plan: Some(""), .. } => Err("the row names no dial plan"),
        Fields { prefix: "", .. } => Err("the row has no prefix"),
        Fields { tag: "", .. } => Err("the row has no tag"),
        _ => Ok(fields),
    }
}

fn value(field: &str) -> &str {
    let field = field.trim();
    let inner = field.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.map_or(field, str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(usize, Option<&str>, &str, &str)> {
        rows(text)
            .map(|row| {
                let fields = row.fields.unwrap();
                (row.line, fields.plan, fields.prefix, fields.tag)
            })
            .collect()
    }

    #[test]
    fn columns_header_blanks_and_quotes() {
        let text = "\u{feff}dialPlanName,Prefix, tag\r\nA,+972, x.example\r\n\r\n \"A\" , \"1\",\"y\"\n2,z\n";
        assert_eq!(read(text), [(1, Some("A"), "+972", "x.example"), (3, Some("A"), "1", "y"), (4, None, "2", "z")]);
        assert_eq!(read("#31,x\n"), [(0, None, "#31", "x")]);
        assert_eq!(read("prefix,tag\n1,x"), [(1, None, "1", "x")]);
        assert_eq!(read(""), []);
    }

    #[test]
    fn span_is_the_row() {
        let text = "\u{feff}1,x\n  22,y \n";
        let spans: Vec<&str> = rows(text).map(|row| &text[row.span]).collect();
        assert_eq!(spans, ["1,x", "22,y"]);
        assert_eq!(&text[line_span(text, 1)], "  22,y");
        assert_eq!(line_span(text, 9), text.len()..text.len());
    }

    #[test]
    fn row_that_is_none_is_told() {
        for text in ["1", "a,b,c,d", ",1,x", "A,,x", "A,1,", "1,"] {
            assert!(rows(text).all(|row| row.fields.is_err()), "{text}");
        }
    }
}
