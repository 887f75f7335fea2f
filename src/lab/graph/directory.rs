//! The directory's endpoints: users and groups, whole and as delta queries, and Teams' own numbers.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::changes::{ALL, Change, PROPERTIES, Properties};
use super::cursor::{Cursor, unsupported};
use super::login::Access;
use super::route::Verb;
use super::tenant::{Entry, Group, Removal, Tenant};
use super::text::value;
use super::world::{Begun, Part, World};

/// What users carry when nothing is selected; `accountEnabled` is not among it.
const USUAL: [&str; 5] = ["displayName", "userPrincipalName", "mail", "businessPhones", "mobilePhone"];
/// Entries that a client may ask for on one page.
const MAX_TOP: usize = 999;

impl World {
    /// One user, or a list of all.
    pub(super) fn read_users(&mut self, begun: &Begun, part: &Part, access: Access) -> Answer {
        let Some(tenant) = self.tenants.get(access.tenant) else { return Answer::trouble(500, None) };
        if part.route.verb == Verb::Read {
            let select = value(&part.query, "$select").map(|select| select.split(',').collect::<Vec<_>>());
            return match part.user.and_then(|user| tenant.users.get(user)) {
                Some(entry) => Answer::json(200, user_json(entry, select.as_deref(), ALL)),
                None => missing(part.route.subject.as_deref()),
            };
        }
        let mut cursor = match Cursor::of("users", &part.query, 0, begun.at) {
            Ok(cursor) => cursor,
            Err(refused) => return refused,
        };
        let page = self.page_of(part);
        let select = cursor.select.clone();
        let select = select.as_deref().map(|select| select.split(',').collect::<Vec<_>>());
        let mut value = Vec::new();
        while let Some(entry) = tenant.users.get(cursor.place)
            && value.len() < page
        {
            cursor.place += 1;
            if entry.removed.is_none() && cursor.wants(&entry.id) {
                value.push(user_json(entry, select.as_deref(), ALL));
            }
        }
        listed(value, (cursor.place < tenant.users.len()).then(|| cursor.next_link(&begun.host)))
    }

    /// Users, and what changed of them since.
    pub(super) fn users_delta(&mut self, begun: &Begun, part: &Part, access: Access) -> Answer {
        let mut cursor = match self.delta_cursor("users/delta", begun, part, access) {
            Ok(cursor) => cursor,
            Err(refused) => return refused,
        };
        let Some(tenant) = self.tenants.get(access.tenant) else { return Answer::trouble(500, None) };
        if self.awkward && !cursor.empty_given && cursor.place > 0 {
            cursor.empty_given = true;
            return listed(Vec::new(), Some(cursor.next_link(&begun.host)));
        }
        let minimal = part.prefer.as_deref().is_some_and(|prefer| prefer.contains("return=minimal"));
        let walk = if cursor.told { changed_users } else { all_users };
        // An awkward walk says the last entry of the page before once more.
        let back = usize::from(self.awkward && cursor.place > 0);
        cursor.place -= back;
        let page = walk(tenant, &mut cursor, self.page + back, minimal);
        finish(page, cursor, tenant, begun)
    }

    /// One group, or those with a name, or all.
    pub(super) fn read_groups(&mut self, begun: &Begun, part: &Part, access: Access) -> Answer {
        let Some(tenant) = self.tenants.get(access.tenant) else { return Answer::trouble(500, None) };
        if part.route.verb == Verb::Read {
            let wanted = part.route.subject.as_deref().unwrap_or_default();
            return match tenant.groups.iter().find(|group| group.id.eq_ignore_ascii_case(wanted)) {
                Some(group) => Answer::json(200, group_json(group)),
                None => missing(Some(wanted)),
            };
        }
        let name = match value(&part.query, "$filter") {
            None => None,
            Some(filter) => {
                let name = filter.strip_prefix("displayName eq '").and_then(|rest| rest.strip_suffix('\''));
                let Some(name) = name else {
                    return Answer::error(
                        400,
                        "Request_UnsupportedQuery",
                        "Groups are filtered by displayName eq '…'.",
                    );
                };
                Some(name.replace("''", "'"))
            }
        };
        let place = value(&part.query, "$skiptoken").and_then(|place| place.parse::<usize>().ok()).unwrap_or(0);
        let page = self.page_of(part);
        let found = tenant.groups.iter().filter(|group| name.as_ref().is_none_or(|name| *name == group.name));
        let value: Vec<Value> = found.skip(place).take(page).map(group_json).collect();
        let more = value.len() == page && name.is_none();
        let link = more.then(|| format!("https://{}/v1.0/groups?$skiptoken={}", begun.host, place + page));
        listed(value, link)
    }

    /// Groups with their members, and what changed of them since.
    pub(super) fn groups_delta(&mut self, begun: &Begun, part: &Part, access: Access) -> Answer {
        let mut cursor = match self.delta_cursor("groups/delta", begun, part, access) {
            Ok(cursor) => cursor,
            Err(refused) => return refused,
        };
        let Some(tenant) = self.tenants.get(access.tenant) else { return Answer::trouble(500, None) };
        let page = match cursor.told {
            true => changed_groups(tenant, &mut cursor, self.page),
            false => all_groups(tenant, &mut cursor, self.page),
        };
        finish(page, cursor, tenant, begun)
    }

    /// The users in a group.
    pub(super) fn read_members(&mut self, begun: &Begun, part: &Part, access: Access) -> Answer {
        let Some(tenant) = self.tenants.get(access.tenant) else { return Answer::trouble(500, None) };
        let wanted = part.route.subject.as_deref().unwrap_or_default();
        let Some(group) = tenant.groups.iter().find(|group| group.id.eq_ignore_ascii_case(wanted)) else {
            return missing(Some(wanted));
        };
        let path = format!("groups/{}/members", group.id);
        let mut cursor = match Cursor::of(&path, &part.query, 0, begun.at) {
            Ok(cursor) => cursor,
            Err(refused) => return refused,
        };
        let select = cursor.select.clone();
        let select = select.as_deref().map(|select| select.split(',').collect::<Vec<_>>());
        let mut members = group.members.range(cursor.place..).copied();
        let mut value = Vec::new();
        for user in members.by_ref().take(self.page_of(part)) {
            cursor.place = user + 1;
            if let Some(entry) = tenant.users.get(user) {
                let mut member = user_json(entry, select.as_deref(), ALL);
                member["@odata.type"] = json!("#microsoft.graph.user");
                value.push(member);
            }
        }
        listed(value, members.next().map(|_| cursor.next_link(&begun.host)))
    }

    /// What Teams has configured for users, their numbers among it.
    pub(super) fn user_configurations(&mut self, begun: &Begun, part: &Part, access: Access) -> Answer {
        let Some(tenant) = self.tenants.get(access.tenant) else { return Answer::trouble(500, None) };
        let mut cursor = match Cursor::of("admin/teams/userConfigurations", &part.query, 0, begun.at) {
            Ok(cursor) => cursor,
            Err(refused) => return refused,
        };
        let page = self.page_of(part);
        let mut value = Vec::new();
        while let Some(entry) = tenant.users.get(cursor.place)
            && value.len() < page
        {
            cursor.place += 1;
            if entry.removed.is_none() && cursor.wants(&entry.id) {
                value.push(configuration_json(tenant, entry));
            }
        }
        listed(value, (cursor.place < tenant.users.len()).then(|| cursor.next_link(&begun.host)))
    }

    /// The numbers that Teams assigned.
    pub(super) fn number_assignments(&mut self, begun: &Begun, part: &Part, access: Access) -> Answer {
        let Some(tenant) = self.tenants.get(access.tenant) else { return Answer::trouble(500, None) };
        let path = "admin/teams/telephoneNumberManagement/numberAssignments";
        let mut cursor = match Cursor::of(path, &part.query, 0, begun.at) {
            Ok(cursor) => cursor,
            Err(refused) => return refused,
        };
        let page = self.page_of(part);
        let mut value = Vec::new();
        while let Some(entry) = tenant.users.get(cursor.place)
            && value.len() < page
        {
            let number = entry.user.teams_numbers.get(cursor.within).filter(|_| entry.removed.is_none());
            match number {
                Some(number) => {
                    value.push(assignment_json(entry, number, cursor.within));
                    cursor.within += 1;
                }
                None => (cursor.place, cursor.within) = (cursor.place + 1, 0),
            }
        }
        listed(value, (cursor.place < tenant.users.len()).then(|| cursor.next_link(&begun.host)))
    }

    /// The cursor of a delta query, or why Graph does not go on with it.
    fn delta_cursor(&mut self, path: &str, begun: &Begun, part: &Part, access: Access) -> Result<Cursor, Answer> {
        if let Some(option) = unsupported(&part.query) {
            let text = format!("asks a delta query for {option}, which it does not take");
            self.complain_of(part.route.endpoint, Some(access.tenant), None, text);
            return Err(Answer::error(400, "Request_UnsupportedQuery", &format!("{option} is not supported.")));
        }
        let Some(tenant) = self.tenants.get(access.tenant) else { return Err(Answer::trouble(500, None)) };
        let cursor = Cursor::of(path, &part.query, tenant.changes.next(), begun.at)?;
        let known = !cursor.told || tenant.changes.since(cursor.change).is_some();
        if known && !cursor.is_too_old(begun.at) {
            return Ok(cursor);
        }
        let location = format!("https://{}/v1.0/{path}?$deltatoken=", begun.host);
        let text = "The delta token is too old: read everything again.";
        Err(Answer::error(410, "resyncRequired", text).with("location", location))
    }

    fn page_of(&self, part: &Part) -> usize {
        let top = value(&part.query, "$top").and_then(|top| top.parse::<usize>().ok());
        top.filter(|top| *top > 0).map_or(self.page, |top| top.min(MAX_TOP))
    }
}

/// Entries, and whether there are more on another page.
type Page = (Vec<Value>, bool);

fn all_users(tenant: &Tenant, cursor: &mut Cursor, page: usize, _minimal: bool) -> Page {
    let mut value = Vec::new();
    while let Some(entry) = tenant.users.get(cursor.place)
        && value.len() < page
    {
        cursor.place += 1;
        if entry.removed.is_none() && cursor.wants(&entry.id) {
            value.push(user_json(entry, cursor.selected().as_deref(), ALL));
        }
    }
    (value, cursor.place < tenant.users.len())
}

/// Users that changed, one page of changes; who changed twice on it is told once.
fn changed_users(tenant: &Tenant, cursor: &mut Cursor, page: usize, minimal: bool) -> Page {
    let mut found: BTreeMap<usize, Properties> = BTreeMap::new();
    let (mut seen, mut more) = (0, false);
    for change in tenant.changes.since(cursor.change).into_iter().flatten().skip(cursor.place) {
        if seen == page {
            more = true;
            break;
        }
        seen += 1;
        if let Change::User { user, properties } = change {
            *found.entry(*user).or_default() |= properties;
        }
    }
    cursor.place += seen;
    let selected = cursor.selected();
    let told = found.into_iter().filter_map(|(user, properties)| {
        let entry = tenant.users.get(user).filter(|entry| cursor.wants(&entry.id))?;
        Some(match entry.removed {
            Some(removal) => json!({ "id": &*entry.id, "@removed": { "reason": reason(removal) } }),
            None => user_json(entry, selected.as_deref(), if minimal { properties } else { ALL }),
        })
    });
    (told.collect(), more)
}

fn all_groups(tenant: &Tenant, cursor: &mut Cursor, page: usize) -> Page {
    let (mut value, mut count) = (Vec::new(), 0);
    while let Some(group) = tenant.groups.get(cursor.place)
        && count < page
    {
        if !cursor.wants(&group.id) {
            (cursor.place, cursor.within) = (cursor.place + 1, 0);
            continue;
        }
        let members: Vec<usize> = group.members.range(cursor.within..).take(page - count).copied().collect();
        count += members.len().max(1);
        let mut json = group_json(group);
        if !members.is_empty() {
            json["members@delta"] = members.iter().filter_map(|user| member_json(tenant, group, *user)).collect();
        }
        value.push(json);
        let next = members.last().map_or(0, |last| last + 1);
        match members.is_empty() || group.members.range(next..).next().is_none() {
            true => (cursor.place, cursor.within) = (cursor.place + 1, 0),
            false => cursor.within = next,
        }
    }
    (value, cursor.place < tenant.groups.len())
}

fn changed_groups(tenant: &Tenant, cursor: &mut Cursor, page: usize) -> Page {
    let mut found: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    let (mut seen, mut more) = (0, false);
    for change in tenant.changes.since(cursor.change).into_iter().flatten().skip(cursor.place) {
        if seen == page {
            more = true;
            break;
        }
        seen += 1;
        match change {
            Change::Group { group } => {
                found.entry(*group).or_default();
            }
            Change::Member { group, user } => {
                found.entry(*group).or_default().insert(*user);
            }
            Change::User { .. } => {}
        }
    }
    cursor.place += seen;
    let told = found.into_iter().filter_map(|(group, members)| {
        let group = tenant.groups.get(group).filter(|group| cursor.wants(&group.id))?;
        let mut json = group_json(group);
        if !members.is_empty() {
            json["members@delta"] = members.iter().filter_map(|user| member_json(tenant, group, *user)).collect();
        }
        Some(json)
    });
    (told.collect(), more)
}

/// One page of a delta query with its link.
fn finish((value, more): Page, cursor: Cursor, tenant: &Tenant, begun: &Begun) -> Answer {
    if more {
        let link = cursor.next_link(&begun.host);
        return listed(value, Some(link));
    }
    // What changed while the whole was read is told by the first delta: the link remembers the beginning.
    let change = if cursor.told { tenant.changes.next() } else { cursor.change };
    let link = cursor.delta_link(&begun.host, change, begun.at);
    Answer::json(200, json!({ "value": value, "@odata.deltaLink": link }))
}

fn listed(value: Vec<Value>, next: Option<String>) -> Answer {
    let mut body = json!({ "value": value });
    if let Some(next) = next {
        body["@odata.nextLink"] = Value::String(next);
    }
    Answer::json(200, body)
}

fn missing(what: Option<&str>) -> Answer {
    let text = format!(
        "Resource '{}' does not exist or one of its queried reference-property objects are not present.",
        what.unwrap_or_default()
    );
    Answer::error(404, "Request_ResourceNotFound", &text)
}

fn reason(removal: Removal) -> &'static str {
    match removal {
        Removal::Soft => "changed",
        Removal::Hard => "deleted",
    }
}

/// A user with the selected properties, of those that changed.
fn user_json(entry: &Entry, select: Option<&[&str]>, changed: Properties) -> Value {
    let user = &entry.user;
    let mut json = Map::new();
    json.insert("id".into(), json!(&*entry.id));
    for (bit, name) in PROPERTIES.into_iter().enumerate() {
        let wanted = select.map_or_else(
            || USUAL.contains(&name),
            |select| select.iter().any(|selected| selected.trim().eq_ignore_ascii_case(name)),
        );
        if !wanted || changed & 1 << bit == 0 {
            continue;
        }
        let value = match name {
            "displayName" => json!(user.display_name),
            "userPrincipalName" => json!(user.upn),
            "mail" => json!(user.mail),
            "businessPhones" => json!(user.business_phones),
            "mobilePhone" => json!(user.mobile_phone),
            _ => json!(!user.disabled),
        };
        json.insert(name.into(), value);
    }
    Value::Object(json)
}

fn group_json(group: &Group) -> Value {
    json!({ "id": &*group.id, "displayName": group.name })
}

fn member_json(tenant: &Tenant, group: &Group, user: usize) -> Option<Value> {
    let entry = tenant.users.get(user)?;
    let mut json = json!({ "@odata.type": "#microsoft.graph.user", "id": &*entry.id });
    if !group.members.contains(&user) {
        json["@removed"] = json!({ "reason": "deleted" });
    }
    Some(json)
}

fn configuration_json(tenant: &Tenant, entry: &Entry) -> Value {
    let numbers = entry.user.teams_numbers.iter().enumerate().map(|(place, number)| {
        json!({ "telephoneNumber": number, "assignmentCategory": if place == 0 { "primary" } else { "private" } })
    });
    json!({
        "id": &*entry.id,
        "tenantId": &*tenant.id,
        "userPrincipalName": entry.user.upn,
        "accountType": "user",
        "isEnterpriseVoiceEnabled": !entry.user.teams_numbers.is_empty(),
        "featureTypes": ["Teams"],
        "telephoneNumbers": numbers.collect::<Vec<_>>(),
    })
}

fn assignment_json(entry: &Entry, number: &str, place: usize) -> Value {
    json!({
        "id": format!("{}-{place}", entry.id),
        "telephoneNumber": number,
        "numberType": "directRouting",
        "activationState": "activated",
        "assignmentStatus": "userAssigned",
        "assignmentTargetId": &*entry.id,
        "assignmentCategory": if place == 0 { "primary" } else { "private" },
        "numberSource": "online",
    })
}
