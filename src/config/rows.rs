//! Rows of a dial plan file, as `routing` reads them, and where a line of it stands.

use std::ops::Range;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::RowReader;

    fn read(text: &str) -> Vec<(usize, Option<&str>, &str, &str)> {
        RowReader::default()
            .rows(text)
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
        let spans: Vec<&str> = RowReader::default().rows(text).map(|row| &text[row.span]).collect();
        assert_eq!(spans, ["1,x", "22,y"]);
        assert_eq!(&text[line_span(text, 1)], "  22,y");
        assert_eq!(line_span(text, 9), text.len()..text.len());
    }

    #[test]
    fn row_that_is_none_is_told() {
        for text in ["1", "a,b,c,d,e", "a,b,c,d,1,f", ",1,x", "A,,x", "A,1,", "1,"] {
            assert!(RowReader::default().rows(text).all(|row| row.fields.is_err()), "{text}");
        }
    }
}
