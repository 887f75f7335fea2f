//! Lists of dial plan rules, outside the table that answers calls: read from files, compared, written.

mod changes;
mod rows;

use std::borrow::Cow;

use crate::routing::{PrefixError, RowReader, Table, one_form};

pub(super) use changes::Changes;
pub(super) use rows::{Placed, RawRow, RawRows};

/// A rule of a dial plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule<'t> {
    pub plan: Cow<'t, str>,
    /// As it was written.
    pub prefix: Cow<'t, str>,
    /// The prefix in its one form; `None`: it was written so.
    form: Option<Box<str>>,
    pub tag: Cow<'t, str>,
    pub owner: Cow<'t, str>,
    pub active: bool,
}

impl<'t> Rule<'t> {
    /// A rule whose prefix can be read.
    pub(super) fn new(
        plan: Cow<'t, str>,
        prefix: Cow<'t, str>,
        rest: (Cow<'t, str>, Cow<'t, str>, bool),
        normalize: bool,
    ) -> Result<Self, PrefixError> {
        let form = match one_form(&prefix, normalize)? {
            form if form == prefix => None,
            form => Some(form.into()),
        };
        let (tag, owner, active) = rest;
        Ok(Self { plan, prefix, form, tag, owner, active })
    }

    /// The prefix in its one form.
    pub(super) fn form(&self) -> &str {
        self.form.as_deref().unwrap_or(&self.prefix)
    }

    /// Whether two rules differ at most in how their prefix is written.
    pub(super) fn says_the_same(&self, other: &Rule<'_>) -> bool {
        self.key() == other.key()
    }

    /// What two rules are sorted by: first by what makes them the same rule.
    fn key(&self) -> (&str, &str, &str, &str, bool) {
        (&self.plan, self.form(), &self.owner, &self.tag, self.active)
    }
}

/// All rules of a table.
pub(super) fn of_table(table: &Table) -> Vec<Rule<'static>> {
    let mut rules = Vec::with_capacity(table.len());
    table.for_each(|listed| {
        let (plan, prefix) = (Cow::Owned(listed.plan.to_string()), Cow::Owned(listed.prefix));
        let rest = (Cow::Owned(listed.tag), Cow::Owned(listed.owner), listed.active);
        let normalize = table.plan(&plan).is_some_and(|plan| plan.is_normalized());
        // A prefix of a table was read before.
        rules.extend(Rule::new(plan, prefix, rest, normalize));
    });
    rules
}

/// Which columns a file of rules has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Columns {
    /// `dialPlanName,prefix,tag`, as other products read it.
    Three,
    /// With `owner` and `active`.
    Five,
}

impl Columns {
    /// The columns that rules need.
    pub(super) fn needed<'r>(rules: impl IntoIterator<Item = &'r Rule<'r>>) -> Self {
        let plain = |rule: &Rule<'_>| rule.owner.is_empty() && rule.active;
        if rules.into_iter().all(plain) { Self::Three } else { Self::Five }
    }
}

/// Rules as a file that dial plans and imports read again. A rule that such a file cannot hold comes back.
pub(super) fn rule_file<'r>(
    rules: impl IntoIterator<Item = &'r Rule<'r>>,
    columns: Columns,
) -> Result<String, &'r Rule<'r>> {
    let mut text = String::from(match columns {
        Columns::Three => "dialPlanName,prefix,tag\n",
        Columns::Five => "dialPlanName,prefix,tag,owner,active\n",
    });
    for rule in rules {
        let start = text.len();
        let mut odd = push(&mut text, &rule.plan);
        text.push(',');
        if rule.prefix.starts_with('"') {
            // An escaped quote is a quote, and opens none.
            odd |= push(&mut text, &format!("\\{}", rule.prefix));
        } else {
            odd |= push(&mut text, &rule.prefix);
        }
        text.push(',');
        odd |= push(&mut text, &rule.tag);
        if columns == Columns::Five {
            text.push(',');
            odd |= push(&mut text, &rule.owner);
            text.push_str(if rule.active { ",true" } else { ",false" });
        }
        text.push('\n');
        if odd && !reads_as(text.get(start..).unwrap_or_default(), rule, columns) {
            return Err(rule);
        }
    }
    Ok(text)
}

/// Adds a value; returns whether it has anything that may not come back as it was.
fn push(text: &mut String, value: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'*' | b'_');
    if value.bytes().all(plain) {
        text.push_str(value);
        return false;
    }
    let quote = value.contains(',');
    for part in [if quote { "\"" } else { "" }, value, if quote { "\"" } else { "" }] {
        text.push_str(part);
    }
    true
}

/// Whether a row is read as the rule that it was written for.
fn reads_as(row: &str, rule: &Rule<'_>, columns: Columns) -> bool {
    let mut reader = RowReader::default();
    // Behind this no row is taken for a header.
    let _ = reader.rows("A,1,x\n").count();
    let mut rows = reader.rows(row);
    let Some(fields) = rows.next().and_then(|row| row.fields.ok()) else { return false };
    let owner = if columns == Columns::Five { &*rule.owner } else { "" };
    let read = one_form(fields.prefix, false).ok();
    rows.next().is_none()
        && read.is_some()
        && read == one_form(&rule.prefix, false).ok()
        && (fields.plan, fields.tag, fields.owner) == (Some(&*rule.plan), &*rule.tag, owner)
        && (columns == Columns::Three || fields.active == rule.active)
}

#[cfg(test)]
mod tests;
