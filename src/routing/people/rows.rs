//! Rows of a user file: `id,name,number,extension,lives,kind,site,coverage_delay_s,pbx_identity,register_user,register_password`.
//!
//! The first line that is not empty names the columns, in any order and any case of letters; a file may leave out all
//! but `id` and one of `number` and `extension`. A byte order mark, CRLF, quotes, blanks and empty lines do not matter.

use std::ops::Range;

use thiserror::Error;

use super::line::{self, Brackets, QuoteError, Values};
use super::{Credentials, Lives, UnknownWord, UserKind, UserRecord};
use crate::routing::number::Digits;

/// A column of a user file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Column {
    Id,
    Name,
    Number,
    Extension,
    Lives,
    Kind,
    Site,
    CoverageDelay,
    PbxIdentity,
    RegisterUser,
    RegisterPassword,
}

impl Column {
    /// All columns, in the usual order.
    pub const ALL: [Self; 11] = [
        Self::Id,
        Self::Name,
        Self::Number,
        Self::Extension,
        Self::Lives,
        Self::Kind,
        Self::Site,
        Self::CoverageDelay,
        Self::PbxIdentity,
        Self::RegisterUser,
        Self::RegisterPassword,
    ];

    /// The name that stands in the header.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Name => "name",
            Self::Number => "number",
            Self::Extension => "extension",
            Self::Lives => "lives",
            Self::Kind => "kind",
            Self::Site => "site",
            Self::CoverageDelay => "coverage_delay_s",
            Self::PbxIdentity => "pbx_identity",
            Self::RegisterUser => "register_user",
            Self::RegisterPassword => "register_password",
        }
    }

    /// The column of a name, in any case of letters.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|column| name.eq_ignore_ascii_case(column.name()))
    }
}

/// A row of a user file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    /// Index of the line, from zero.
    pub line: usize,
    /// Where the row stands in the text.
    pub span: Range<usize>,
    pub user: Result<(UserRecord, Credentials), UserRowError>,
}

/// What is wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{fault}")]
pub struct UserRowError {
    /// Where in the text.
    pub span: Range<usize>,
    pub fault: UserRowFault,
}

/// Kinds of faults of rows; none of them tells a value that may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UserRowFault {
    #[error("the first line names the columns, `id` and `number` or `extension` at least")]
    NoHeader,
    #[error("there is no column `{0}` in user files")]
    UnknownColumn(Box<str>),
    #[error("column `{0}` is there twice")]
    RepeatedColumn(&'static str),
    #[error("{0}")]
    Quote(#[from] QuoteError),
    #[error("the row has {found} values and the header {expected}")]
    Count { expected: usize, found: usize },
    #[error("`{0}` is empty")]
    Empty(&'static str),
    #[error("the user has neither a number nor an extension")]
    NoNumber,
    #[error("`extension` has up to {} digits, `*` or `#`", Digits::MAX)]
    Extension,
    #[error("{0}")]
    Word(#[from] UnknownWord),
    #[error("`coverage_delay_s` is a number of seconds, 65535 at most")]
    Delay,
    #[error("`register_user` and `register_password` are both given or both empty")]
    Credentials,
    #[error("`{0}` has a control character")]
    Control(&'static str),
}

/// Reads the rows of a user file. A header that is no good is told, and nothing after it is read.
#[derive(Clone, Debug)]
pub struct UserRows<'t> {
    text: &'t str,
    at: usize,
    line: usize,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    /// The header is still to come.
    Start,
    /// What each value of a row is.
    Rows(Vec<Column>),
    /// What is wrong with the header, the last first, and its line.
    Faults(Vec<UserRowError>, usize, Range<usize>),
}

impl<'t> UserRows<'t> {
    /// The rows of the text of a file.
    pub const fn new(text: &'t str) -> Self {
        Self { text, at: 0, line: 0, state: State::Start }
    }

    /// The next line that is not empty: its number, and where its content is.
    fn next_line(&mut self) -> Option<(usize, Range<usize>)> {
        loop {
            let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
            let length = memchr::memchr(b'\n', rest.as_bytes()).map_or(rest.len(), |newline| newline + 1);
            let whole = rest.get(..length)?;
            let bare = if self.line == 0 { whole.trim_start_matches('\u{feff}') } else { whole };
            let content = bare.trim_ascii();
            let start = self.at + (whole.len() - bare.len()) + (bare.len() - bare.trim_ascii_start().len());
            let line = self.line;
            self.at += length;
            self.line += 1;
            if !content.is_empty() {
                return Some((line, start..start + content.len()));
            }
        }
    }
}

impl Iterator for UserRows<'_> {
    type Item = UserRow;

    fn next(&mut self) -> Option<UserRow> {
        if matches!(self.state, State::Start) {
            let (line, span) = self.next_line()?;
            self.state = match header(self.text.get(span.clone())?, span.start) {
                Ok(columns) => State::Rows(columns),
                Err(mut faults) => {
                    faults.reverse();
                    State::Faults(faults, line, span)
                }
            };
        }
        if let State::Faults(faults, line, span) = &mut self.state {
            let fault = faults.pop()?;
            return Some(UserRow { line: *line, span: span.clone(), user: Err(fault) });
        }
        let (line, span) = self.next_line()?;
        let State::Rows(columns) = &self.state else { return None };
        let user = user(self.text.get(span.clone())?, &span, columns);
        Some(UserRow { line, span, user })
    }
}

/// The columns that a header names.
pub(super) fn header(text: &str, start: usize) -> Result<Vec<Column>, Vec<UserRowError>> {
    let whole = start..start + text.len();
    let no_header = || vec![UserRowError { span: whole.clone(), fault: UserRowFault::NoHeader }];
    let values = line::split(text, Brackets::Plain).map_err(|_| no_header())?;
    let mut columns = Vec::with_capacity(values.len());
    let mut faults = Vec::new();
    for value in &values {
        let span = start + value.span.start..start + value.span.end;
        let fault = match Column::find(value.text.trim()) {
            Some(column) if columns.contains(&column) => UserRowFault::RepeatedColumn(column.name()),
            Some(column) => {
                columns.push(column);
                continue;
            }
            None => UserRowFault::UnknownColumn(value.text.trim().into()),
        };
        faults.push(UserRowError { span, fault });
    }
    let has = |column| columns.contains(&column);
    // Without an `id` it may be a row, and its values are none of anybody's business.
    if !has(Column::Id) || !(has(Column::Number) || has(Column::Extension)) {
        return Err(no_header());
    }
    if faults.is_empty() { Ok(columns) } else { Err(faults) }
}

fn user(text: &str, span: &Range<usize>, columns: &[Column]) -> Result<(UserRecord, Credentials), UserRowError> {
    let fault = |fault| UserRowError { span: span.clone(), fault };
    let values: Values<'_> = line::split(text, Brackets::Plain).map_err(|error| {
        let at = span.start + error.at;
        UserRowError { span: at..span.end, fault: error.into() }
    })?;
    if values.len() != columns.len() {
        return Err(fault(UserRowFault::Count { expected: columns.len(), found: values.len() }));
    }
    let mut user = UserRecord::default();
    let mut credentials = Credentials::default();
    for (column, value) in columns.iter().zip(&values) {
        let here = |fault| UserRowError { span: span.start + value.span.start..span.start + value.span.end, fault };
        // Blanks belong to a password when they are quoted.
        let text = if *column == Column::RegisterPassword { &*value.text } else { value.text.trim() };
        if text.chars().any(char::is_control) {
            return Err(here(UserRowFault::Control(column.name())));
        }
        let some = (!text.is_empty()).then_some(text);
        match column {
            Column::Id => user.id = some.ok_or_else(|| here(UserRowFault::Empty("id")))?.to_owned(),
            Column::Name => user.name = text.to_owned(),
            Column::Number => user.number = some.map(str::to_owned),
            Column::Extension => {
                if some.is_some_and(|text| Digits::new(text.as_bytes()).is_none()) {
                    return Err(here(UserRowFault::Extension));
                }
                user.extension = some.map(str::to_owned);
            }
            Column::Lives => {
                user.lives = some.map_or(Ok(Lives::default()), str::parse).map_err(|error| here(error.into()))?;
            }
            Column::Kind => {
                user.kind = some.map_or(Ok(UserKind::default()), str::parse).map_err(|error| here(error.into()))?;
            }
            Column::Site => user.site = some.map(str::to_owned),
            Column::CoverageDelay => {
                let delay = some.map_or(Ok(0), str::parse);
                user.coverage_delay_s = delay.map_err(|_| here(UserRowFault::Delay))?;
            }
            Column::PbxIdentity => user.pbx_identity = some.map(str::to_owned),
            Column::RegisterUser => credentials.user = text.to_owned(),
            Column::RegisterPassword => credentials.password = text.to_owned(),
        }
    }
    if user.number.is_none() && user.extension.is_none() {
        return Err(fault(UserRowFault::NoNumber));
    }
    if credentials.user.is_empty() != credentials.password.is_empty() {
        return Err(fault(UserRowFault::Credentials));
    }
    Ok((user, credentials))
}
