//! `users_files` and `[[tenant.ID.user]]`: the people of a tenant.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::call_limits::{self, Profiles};
use super::log::{Draft, FileId, Log, Place};
use super::nearest::did_you_mean;
use super::reader::{Table, quoted};
use super::sheets::Sheets;
use super::sites::SiteSet;
use crate::routing::number::{Digits, Number, NumberingPlan};
use crate::routing::people::line::{self, Brackets};
use crate::routing::people::{Column, Lives, UserKind, UserRecord, UserRows};
use crate::routing::{Tenant, User};
use crate::trunk::CallLimits;

/// Where the users of a tenant stand, in the order of their ids.
#[derive(Debug, Default)]
pub(super) struct UserPlaces(Vec<Place>);

impl UserPlaces {
    pub(super) fn get(&self, user: usize) -> Option<Place> {
        self.0.get(user).copied()
    }
}

/// How many calls a user may have, by id.
pub(super) type LimitsOfUser = (Box<str>, Arc<CallLimits>);

/// How many more users all tenants together may have.
#[derive(Debug)]
pub(super) struct Left {
    limit: usize,
    left: usize,
    told: bool,
}

impl Left {
    pub(super) const fn new(limit: usize) -> Self {
        Self { limit, left: limit, told: false }
    }

    /// Takes room for one; complains of the first that finds none.
    fn take(&mut self, log: &Log, place: Place) -> bool {
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            return true;
        }
        if !std::mem::replace(&mut self.told, true) {
            let message = format!("there are more than {} users", self.limit);
            let help = "raise `max_users` in [limits]";
            log.add(Draft::error(place, message).label("the first too many").help(help));
        }
        false
    }
}

/// The users of a tenant and where they stand.
pub(super) fn read(
    log: &Log,
    table: &mut Table<'_>,
    (tenant, profiles): (&Tenant, &Profiles),
    sites: &SiteSet<'_>,
    sheets: &mut Sheets,
    left: &mut Left,
) -> (Vec<User>, UserPlaces, Vec<LimitsOfUser>) {
    let mut reading = Reading {
        log,
        title: table.title.clone(),
        tenant,
        sites,
        ids: HashMap::new(),
        numbers: HashMap::new(),
        users: Vec::new(),
        places: Vec::new(),
    };
    for file in sheets.named(table, "users_files") {
        reading.file(file, left);
    }
    let mut limits = Vec::new();
    let title = |index| format!("user {} of {}", index + 1, reading.title);
    for mut user in table.tables("user", "tenant.ID.user", title) {
        let record = record(&mut user);
        let own = call_limits::read(&mut user, profiles);
        limits.extend(record.as_ref().zip(own).map(|(record, own)| (record.id.as_str().into(), own)));
        if left.take(log, user.place)
            && let Some(record) = record
        {
            reading.user(record, &Written::Table(&user));
        }
        user.finish();
    }
    (reading.users, UserPlaces(reading.places), limits)
}

/// The user that a table describes; `None` after a complaint.
fn record(table: &mut Table<'_>) -> Option<UserRecord> {
    let log = table.log();
    let text = |table: &mut Table<'_>, key| {
        let text = table.text(key)?;
        if text.value.chars().any(char::is_control) {
            let message = format!("{}: `{key}` has a control character", table.title);
            log.add(Draft::error(text.place, message));
        }
        Some(text.value.trim().to_owned()).filter(|text| !text.is_empty())
    };
    table.must_have("id");
    let id = text(table, "id");
    if id.is_none() && table.has("id") {
        let message = format!("{}: `id` is empty", table.title);
        log.add(Draft::error(table.place_of("id"), message));
    }
    let lives = [Lives::Teams, Lives::Pbx, Lives::Both].map(|lives| (lives.word(), lives));
    let kinds = [UserKind::Person, UserKind::Resource].map(|kind| (kind.word(), kind));
    let record = UserRecord {
        name: text(table, "name").unwrap_or_default(),
        number: text(table, "number"),
        extension: text(table, "extension"),
        lives: table.choice("lives", &lives).map_or_else(Lives::default, |lives| lives.value),
        kind: table.choice("kind", &kinds).map_or_else(UserKind::default, |kind| kind.value),
        site: text(table, "site"),
        coverage_delay_s: table
            .number("coverage_delay_s", 0..=u64::from(u16::MAX))
            .and_then(|delay| u16::try_from(delay.value).ok())
            .unwrap_or(0),
        pbx_identity: text(table, "pbx_identity"),
        id: id?,
    };
    if record.number.is_none() && record.extension.is_none() {
        if !table.has("number") && !table.has("extension") {
            let message = format!("{} has neither `number` nor `extension`", table.title);
            log.add(Draft::error(table.place, message).label("in this table"));
        }
        return None;
    }
    Some(record)
}

/// How a user is written, to find the place of a value when there is something to say of it.
enum Written<'a> {
    Table(&'a Table<'a>),
    Row { text: &'a str, file: FileId, span: Range<usize> },
}

impl Written<'_> {
    /// Where a value stands; the whole user where it has none.
    fn place(&self, column: Column) -> Place {
        match self {
            Self::Table(table) => table.place_of(column.name()),
            Self::Row { text, file, span } => {
                let part = value_span(text, span, column).unwrap_or_else(|| span.clone());
                Place::new(*file, part)
            }
        }
    }

    fn whole(&self) -> Place {
        match self {
            Self::Table(table) => table.place,
            Self::Row { file, span, .. } => Place::new(*file, span.clone()),
        }
    }
}

/// Where the value of a column stands in a row, by the header of its file.
fn value_span(text: &str, row: &Range<usize>, column: Column) -> Option<Range<usize>> {
    let header = text.trim_start_matches('\u{feff}').lines().find(|line| !line.trim_ascii().is_empty())?;
    let names = line::split(header.trim_ascii(), Brackets::Plain).ok()?;
    let at = names.iter().position(|name| Column::find(name.text.trim()) == Some(column))?;
    let values = line::split(text.get(row.clone())?, Brackets::Plain).ok()?;
    let span = values.get(at)?.span.clone();
    (!span.is_empty()).then(|| row.start + span.start..row.start + span.end)
}

struct Reading<'a> {
    log: &'a Log,
    /// Of the tenant.
    title: String,
    tenant: &'a Tenant,
    sites: &'a SiteSet<'a>,
    /// By id in lower case.
    ids: HashMap<Box<str>, Place>,
    numbers: HashMap<Number, Place>,
    users: Vec<User>,
    places: Vec<Place>,
}

impl Reading<'_> {
    fn file(&mut self, file: FileId, left: &mut Left) {
        let text = self.log.text(file);
        for row in UserRows::new(&text) {
            match row.user {
                // What the edge registers users with is not part of routing.
                Ok((record, _)) => {
                    if !left.take(self.log, Place::new(file, row.span.clone())) {
                        return;
                    }
                    self.user(record, &Written::Row { text: &text, file, span: row.span });
                }
                Err(_) if self.log.is_full() => self.log.count(1),
                Err(error) => {
                    let message = format!("{}: {error}", self.title);
                    self.log.add(Draft::error(Place::new(file, error.span), message));
                }
            }
        }
    }

    fn user(&mut self, record: UserRecord, written: &Written<'_>) {
        let place = written.whole();
        let id = record.id.to_lowercase().into_boxed_str();
        match self.ids.get(&id) {
            Some(first) => {
                let message = format!("{}: user {} is there twice", self.title, quoted(&record.id));
                let draft = Draft::error(written.place(Column::Id), message).label("again");
                self.log.add(draft.also(*first, "first").help("ids are compared without regard to case"));
            }
            None => {
                self.ids.insert(id, written.place(Column::Id));
            }
        }
        let site = self.site(&record, written);
        let number = self.number(&record, written);
        if let Some(number) = &number {
            self.told_apart(&record, number, written);
        }
        self.users.push(User { record, numbers: number.into_iter().collect(), site });
        self.places.push(place);
    }

    fn fault(&self, record: &UserRecord, place: Place, message: &str) -> Draft {
        Draft::error(place, format!("{}: user {}: {message}", self.title, quoted(&record.id)))
    }

    fn warn(&self, record: &UserRecord, place: Place, message: &str) -> Draft {
        Draft::warning(place, format!("{}: user {}: {message}", self.title, quoted(&record.id)))
    }

    /// The index of the home site; complains when it is none of the tenant's, or lacks what the user needs.
    fn site(&self, record: &UserRecord, written: &Written<'_>) -> Option<u32> {
        let own = || self.tenant.sites.iter().filter_map(|index| Some((*index, self.sites.list.get(*index as usize)?)));
        let site = match &record.site {
            None => own().next().filter(|_| own().nth(1).is_none()).map(|(index, _)| index),
            Some(name) => {
                let fqdn = name.trim_end_matches('.').to_ascii_lowercase();
                let found = own().find(|(_, site)| *site.fqdn == *fqdn).map(|(index, _)| index);
                if found.is_none() && self.log.is_complete() {
                    let of = self.sites.names.get(&fqdn).and_then(|index| self.sites.list.get(index as usize));
                    let message = match of {
                        Some(other) => format!("{} is a site of tenant {}", quoted(name), quoted(&other.tenant)),
                        None => format!("there is no site {}", quoted(name)),
                    };
                    let help = did_you_mean(&fqdn, own().map(|(_, site)| &*site.fqdn));
                    self.log.add(self.fault(record, written.place(Column::Site), &message).maybe_help(help));
                    return None;
                }
                found
            }
        };
        // Without a home the user is at the site that was called.
        let has_pbx = own().any(|(index, known)| known.pbx.is_some() && site.is_none_or(|site| site == index));
        if record.lives != Lives::Teams && !has_pbx && self.log.is_complete() {
            let message = format!("lives = \"{}\", but there is no PBX", record.lives);
            let help = "give the site a `pbx`, or a `trunk` of kind pbx";
            self.log.add(self.fault(record, written.place(Column::Lives), &message).help(help));
        }
        site
    }

    /// What number and extension mean together; `None` after a complaint.
    fn number(&self, record: &UserRecord, written: &Written<'_>) -> Option<Number> {
        let extension = match &record.extension {
            Some(text) => Some(self.extension(record, text, written)?),
            None => None,
        };
        let Some(text) = &record.number else { return extension.map(Number::Extension) };
        let number = self.tenant.numbering.read(text).number;
        let place = || written.place(Column::Number);
        let clash = |own: Digits| {
            let message = format!("`number` says extension {own}, `extension` another");
            self.log.add(self.fault(record, place(), &message));
        };
        let number = match (number, extension) {
            (Number::Telephone { e164, extension: None }, given) => Number::Telephone { e164, extension: given },
            (Number::Telephone { extension: Some(own), .. } | Number::Extension(own), Some(given)) if own != given => {
                clash(own);
                return None;
            }
            (number @ (Number::Telephone { .. } | Number::Extension(_)), _) => number,
            (Number::Service(digits), _) => {
                let message = format!("{} is a service number", quoted(&digits.to_string()));
                self.log.add(self.fault(record, place(), &message));
                return None;
            }
            (Number::Opaque(_), _) => {
                let message = format!("{} is no number of this tenant", quoted(text));
                self.log.add(self.fault(record, place(), &message).help(number_help(&self.tenant.numbering)));
                return None;
            }
        };
        if let Some(e164) = number.e164()
            && !self.tenant.ranges.is_empty()
            && self.tenant.ranges.find(format!("+{e164}").as_bytes()).is_none()
        {
            let message = format!("+{e164} is in none of the tenant's `numbers`");
            self.log.add(self.warn(record, place(), &message));
        }
        Some(number)
    }

    fn extension(&self, record: &UserRecord, text: &str, written: &Written<'_>) -> Option<Digits> {
        let place = || written.place(Column::Extension);
        let plan = &self.tenant.numbering;
        let Some(digits) = Digits::new(text.as_bytes()) else {
            let message = format!("{} is no extension", quoted(text));
            let help = format!("write at most {} digits, `*` or `#`", Digits::MAX);
            self.log.add(self.fault(record, place(), &message).help(help));
            return None;
        };
        if plan.is_service(digits) {
            let message = format!("extension {digits} is never reached: it is a service number");
            self.log.add(self.warn(record, place(), &message));
        } else if !plan.is_extension(digits) {
            let message = format!("extension {digits} is in none of the `extension_ranges`");
            let help = "only calls to the number with `;ext=` find it: add it to the ranges in `numbering`";
            self.log.add(self.warn(record, place(), &message).help(help));
        }
        Some(digits)
    }

    /// Complains of two users whom no call could tell apart.
    fn told_apart(&mut self, record: &UserRecord, number: &Number, written: &Written<'_>) {
        let column = if record.number.is_some() { Column::Number } else { Column::Extension };
        match self.numbers.get(number) {
            Some(first) => {
                let message = format!("another user has {number} as well");
                let help = "users who share a number differ by `extension`";
                let draft = self.fault(record, written.place(column), &message).label("again");
                self.log.add(draft.also(*first, "first").help(help));
            }
            None => {
                self.numbers.insert(number.clone(), written.place(column));
            }
        }
    }
}

fn number_help(plan: &NumberingPlan) -> &'static str {
    match plan.country() {
        None => "write it with `+` and its calling code, or set `country` of the tenant",
        Some(_) => "write it with `+` and its calling code, or add it to `extension_ranges` if it is an extension",
    }
}
