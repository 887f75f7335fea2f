//! `trunkway import bulk-assignment`: users by the licences that they have.

use std::collections::BTreeMap;
use std::ops::Range;

use super::super::Output;
use super::super::progress::Progress;
use super::pbx_users::lines;
pub(super) use super::users::Arguments;
use super::users::{self, Imported, Surroundings};
use crate::config::Remark;
use crate::routing::number::{Digits, Number};
use crate::routing::people::line::{self, Brackets, Value, Values};
use crate::routing::people::{Credentials, Lives, UserKind, UserRecord};

/// The first columns; as many add-on licences as one likes follow.
const HEADER: [&str; 3] = ["Ext Key", "Number", "User"];

/// What the names of the columns behind them begin with.
const ADD_ON: &str = "Addon license";

const TEAMS: &str = "device_import_msteams_OC";
const TEAMS_RESOURCE: &str = "device_import_msteams_OC_resource";
const PBX: [&str; 3] = ["device_ip_phone", "device_desktop_app", "device_mobile_app"];

/// Imports a file of assignments.
pub(super) fn import(arguments: &Arguments, color: bool) -> Output {
    users::import(arguments, color, |_| None, read)
}

fn read(text: &str, around: Surroundings<'_>) -> Vec<Imported> {
    let Surroundings { file, faults, .. } = around;
    let mut rows = lines(text);
    let mut list = Vec::new();
    let Some((span, header)) = rows.next() else {
        faults.add(Remark::error_of(file, "the file is empty"));
        return list;
    };
    let Some(columns) = columns(header) else {
        let remark = Remark::error(file, span, "the first line is not the header");
        faults.add(remark.help(format!("it is {},{ADD_ON} 1,{ADD_ON} 2, and so on", HEADER.join(","))));
        return list;
    };
    // Add-ons of devices that mean nothing here: where each was first seen, and how often.
    let mut unknown: BTreeMap<String, (Range<usize>, usize)> = BTreeMap::new();
    let mut progress = Progress::new("reading users", text.len());
    for (span, row) in rows {
        progress.at(span.end);
        list.extend(user(row, span, columns, around, &mut unknown));
    }
    for (code, (span, count)) in unknown {
        let remark = Remark::warning(file, span, format!("add-on `{code}` means nothing to the edge"));
        faults.add(remark.label(if count > 1 { format!("the first of {count}") } else { String::new() }));
    }
    if list.is_empty() && !faults.failed() {
        faults.add(Remark::error_of(file, "there is no user in the file"));
    }
    list
}

/// How many columns the header has; `None`: it is none.
fn columns(header: &str) -> Option<usize> {
    let values = line::split(header, Brackets::Plain).ok()?;
    let mut names = values.iter().map(|value| value.text.trim());
    let first = HEADER.iter().all(|wanted| names.next().is_some_and(|name| name.eq_ignore_ascii_case(wanted)));
    let is_add_on = |name: &str| name.get(..ADD_ON.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(ADD_ON));
    (first && names.all(is_add_on)).then_some(values.len())
}

/// What the add-ons of a row say.
#[derive(Clone, Copy, Debug, Default)]
struct AddOns {
    teams: bool,
    resource: bool,
    pbx: bool,
}

impl AddOns {
    fn lives(self) -> Result<(Lives, UserKind), &'static str> {
        match (self.teams, self.resource, self.pbx) {
            (true, true, _) => Err("a row is either a Teams user or a Teams resource"),
            // It answers in Teams alone, whatever devices are listed beside it.
            (false, true, _) => Ok((Lives::Teams, UserKind::Resource)),
            (true, false, true) => Ok((Lives::Both, UserKind::Person)),
            (true, false, false) => Ok((Lives::Teams, UserKind::Person)),
            (false, false, true) => Ok((Lives::Pbx, UserKind::Person)),
            (false, false, false) => Err("no add-on says where the user lives"),
        }
    }
}

fn user(
    row: &str,
    span: Range<usize>,
    columns: usize,
    around: Surroundings<'_>,
    unknown: &mut BTreeMap<String, (Range<usize>, usize)>,
) -> Option<Imported> {
    let Surroundings { file, faults, site, .. } = around;
    let values: Values<'_> = match line::split(row, Brackets::Plain) {
        Ok(values) => values,
        Err(error) => {
            faults.add(Remark::error(file, span, error.to_string()));
            return None;
        }
    };
    let place = |value: &Value<'_>| span.start + value.span.start..span.start + value.span.end;
    let [key, number, name, add_ons @ ..] = &*values else {
        let message = format!("the row has {} values, and the header {columns}", values.len());
        faults.add(Remark::error(file, span, message));
        return None;
    };
    // Add-ons that a row does not have may be left out, with their commas.
    if let Some(surplus) = values.get(columns) {
        let message = format!("the row has {} values, and the header {columns}", values.len());
        faults.add(Remark::error(file, place(surplus).start..span.end, message).label("too much"));
        return None;
    }
    let mut has = AddOns::default();
    for add_on in add_ons {
        match add_on.text.trim() {
            TEAMS => has.teams = true,
            TEAMS_RESOURCE => has.resource = true,
            code if PBX.contains(&code) => has.pbx = true,
            code if code.starts_with("device_") => {
                unknown.entry(code.to_owned()).or_insert_with(|| (place(add_on), 0)).1 += 1;
            }
            _ => {}
        }
    }
    let lives = has.lives().map_err(|message| {
        let help = format!("one of {TEAMS}, {TEAMS_RESOURCE}, {}", PBX.join(", "));
        faults.add(Remark::error(file, span.clone(), message).help(help));
    });
    let extension = key.text.trim();
    let is_extension = Digits::new(extension.as_bytes()).is_some_and(Digits::is_decimal);
    if !is_extension {
        faults.add(Remark::error(file, place(key), "`Ext Key` is an extension, of digits only"));
    }
    if name.text.contains(char::is_control) {
        faults.add(Remark::error(file, place(name), "`User` has a control character"));
    }
    let number = telephone(number, place(number), around);
    let (lives, kind) = lives.ok()?;
    let user = UserRecord {
        id: extension.to_owned(),
        name: name.text.trim().to_owned(),
        number: Some(number?),
        extension: Some(extension.to_owned()),
        lives,
        kind,
        site: site.map(str::to_owned),
        ..UserRecord::default()
    };
    is_extension.then_some(Imported { user, credentials: Credentials::default(), span })
}

/// The telephone number that a value means to the tenant, in its canonical form.
fn telephone(value: &Value<'_>, place: Range<usize>, around: Surroundings<'_>) -> Option<String> {
    let Surroundings { tenant, numbering, file, faults, .. } = around;
    let text = value.text.trim();
    let number = Number::parse(text, numbering);
    if number.e164().is_some() {
        return Some(number.to_string());
    }
    let what = match &number {
        _ if text.is_empty() => "the user has no number".to_owned(),
        Number::Extension(_) => format!("`{text}` is an extension of tenant `{tenant}`"),
        Number::Service(_) => format!("`{text}` is a service number of tenant `{tenant}`"),
        _ => format!("`{text}` is no telephone number to tenant `{tenant}`"),
    };
    let help = match (&number, numbering.country()) {
        (Number::Opaque(_), None) => {
            format!("set `country` of [tenant.{tenant}]: without it only numbers with `+` are telephone numbers")
        }
        (Number::Opaque(_), Some(country)) => {
            format!("`country` of [tenant.{tenant}] is `{}`; write numbers of other countries with `+`", country.iso)
        }
        _ => format!("[tenant.{tenant}.numbering] says which numbers are extensions and services"),
    };
    faults.add(Remark::error(file, place, what).help(help));
    None
}
