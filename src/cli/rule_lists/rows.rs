//! Rows of dial plan files as operators have them: more than [`crate::routing::RowReader`] takes, since what a row
//! lacks may be given beside the file.

use std::borrow::Cow;
use std::ops::Range;

use thiserror::Error;

use crate::routing::people::line::{self, Brackets, QuoteError, Value};

/// A value of a row, and where it stands in the text.
pub(in crate::cli) type Placed<'t> = (Cow<'t, str>, Range<usize>);

/// A row; what it does not say is `None`, and so is what it leaves empty.
#[derive(Clone, Debug)]
pub(in crate::cli) struct RawRow<'t> {
    /// Where the row stands in the text.
    pub span: Range<usize>,
    pub plan: Option<Placed<'t>>,
    pub prefix: Placed<'t>,
    pub tag: Option<Placed<'t>>,
    pub owner: Option<Placed<'t>>,
    pub active: bool,
}

/// What is wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(in crate::cli) enum RowFault {
    #[error("{0}")]
    Quote(#[from] QuoteError),
    #[error("the row has {0} values: its columns are `dialPlanName,prefix,tag`, and perhaps `owner,active`")]
    Count(usize),
    #[error("the row has {found} values and the header {expected}")]
    HeaderCount { expected: usize, found: usize },
    #[error("the row has no prefix")]
    NoPrefix,
    #[error("`active` is `true` or `false`")]
    Active,
}

/// The columns that a header may name, in lower case and the usual order.
const NAMES: [&str; 5] = ["dialplanname", "prefix", "tag", "owner", "active"];

/// For each of [`NAMES`] where its value stands in a row.
type Columns = [Option<usize>; NAMES.len()];

/// Reads the rows of a file.
#[derive(Clone, Debug)]
pub(in crate::cli) struct RawRows<'t> {
    text: &'t str,
    at: usize,
    begun: bool,
    /// From a header of an unusual order, and how many columns that has.
    header: Option<(Columns, usize)>,
    /// The header has the plan first: rows of two values are a plan and a prefix.
    plan_first: bool,
}

impl<'t> RawRows<'t> {
    /// The rows of a text.
    pub(in crate::cli) const fn new(text: &'t str) -> Self {
        Self { text, at: 0, begun: false, header: None, plan_first: false }
    }

    /// How much of the text is read, in bytes.
    pub(in crate::cli) const fn position(&self) -> usize {
        self.at
    }

    /// Takes the line as a header, if it is one.
    fn take_header(&mut self, line: &str) -> bool {
        let Ok(values) = line::split(line, Brackets::KeepCommas) else { return false };
        let mut columns = Columns::default();
        for (at, value) in values.iter().enumerate() {
            let column = NAMES.iter().position(|name| value.text.trim_ascii().eq_ignore_ascii_case(name));
            match column.and_then(|column| columns.get_mut(column)) {
                Some(slot) if slot.is_none() => *slot = Some(at),
                _ => return false,
            }
        }
        let [plan, prefix, ..] = columns;
        if prefix.is_none() {
            return false;
        }
        let in_order = columns.iter().flatten().copied().eq(0..values.len());
        self.plan_first = in_order && plan.is_some();
        let first_ones = columns.iter().take_while(|column| column.is_some()).count() == values.len();
        let is_pair = in_order && plan.is_none() && values.len() <= 2;
        // In the usual order the rows themselves tell: those of one file may differ in their number of columns.
        self.header = (!(in_order && (first_ones || is_pair))).then_some((columns, values.len()));
        true
    }

    fn row(&self, start: usize, line: &'t str) -> Result<RawRow<'t>, RowFault> {
        let values = line::split(line, Brackets::KeepCommas)?;
        let count = values.len();
        let columns: Columns = match (&self.header, count) {
            (Some((_, expected)), _) if count > *expected => {
                return Err(RowFault::HeaderCount { expected: *expected, found: count });
            }
            (Some((columns, _)), _) => *columns,
            (None, 1) if !self.plan_first => [None, Some(0), None, None, None],
            (None, 2) if !self.plan_first => [None, Some(0), Some(1), None, None],
            (None, 1..=5) => [Some(0), Some(1), Some(2), Some(3), Some(4)],
            (None, _) => return Err(RowFault::Count(count)),
        };
        let placed = |column: Option<usize>| -> Option<Placed<'t>> {
            let Value { text, span } = values.get(column?)?.clone();
            let text = match text {
                Cow::Borrowed(text) => Cow::Borrowed(text.trim_ascii()),
                Cow::Owned(text) => Cow::Owned(text.trim_ascii().to_owned()),
            };
            (!text.is_empty()).then_some((text, start + span.start..start + span.end))
        };
        let [plan, prefix, tag, owner, active] = columns.map(placed);
        let active = match active.as_ref().map(|(word, _)| &**word) {
            None | Some("1") => true,
            Some("0") => false,
            Some(word) if word.eq_ignore_ascii_case("true") || word.eq_ignore_ascii_case("yes") => true,
            Some(word) if word.eq_ignore_ascii_case("false") || word.eq_ignore_ascii_case("no") => false,
            Some(_) => return Err(RowFault::Active),
        };
        let prefix = prefix.ok_or(RowFault::NoPrefix)?;
        Ok(RawRow { span: start..start + line.len(), plan, prefix, tag, owner, active })
    }
}

impl<'t> Iterator for RawRows<'t> {
    /// A row, or what is wrong with it and where.
    type Item = Result<RawRow<'t>, (RowFault, Range<usize>)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let begin = self.at;
            let rest = self.text.get(begin..).filter(|rest| !rest.is_empty())?;
            let length = memchr::memchr(b'\n', rest.as_bytes()).map_or(rest.len(), |newline| newline + 1);
            self.at += length;
            let whole = rest.get(..length)?;
            let bare = if begin == 0 { whole.trim_start_matches('\u{feff}') } else { whole };
            let content = bare.trim_ascii();
            if content.is_empty() || (!std::mem::replace(&mut self.begun, true) && self.take_header(content)) {
                continue;
            }
            let start = begin + (whole.len() - bare.len()) + (bare.len() - bare.trim_ascii_start().len());
            return Some(self.row(start, content).map_err(|fault| (fault, start..start + content.len())));
        }
    }
}
