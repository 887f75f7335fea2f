//! Resource lists (RFC 4662): many lines by one subscription.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::Output;
use super::entity::{Applied, LineState, Versions, greater};
use super::names::Names;
use super::related::Part;
use super::rlmi::{InstanceState, List, Resource};
use crate::presence::dialog_info;
use crate::presence::{Report, Source, Told, UserKey};

/// Who is behind the entries of a list.
#[derive(Debug, Default)]
pub(super) struct Members {
    by_name: HashMap<Box<str>, SmallVec<[Member; 1]>, foldhash::fast::RandomState>,
    names: HashMap<(UserKey, u8), Box<str>, foldhash::fast::RandomState>,
}

#[derive(Debug)]
struct Member {
    user: UserKey,
    index: u8,
    told: Option<Report>,
}

impl Members {
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether the line is known by this name already.
    pub(super) fn has(&self, user: UserKey, index: u8, name: &str) -> bool {
        self.names.get(&(user, index)).is_some_and(|known| **known == *name)
    }

    pub(super) fn put(&mut self, user: UserKey, index: u8, name: &str) {
        self.names.insert((user, index), name.into());
        self.by_name.entry(name.into()).or_default().push(Member { user, index, told: None });
    }

    /// Takes a line out; `true`: something was told of it.
    pub(super) fn take(&mut self, user: UserKey, index: u8) -> bool {
        let Some(name) = self.names.remove(&(user, index)) else { return false };
        let Some(members) = self.by_name.get_mut(&name) else { return false };
        let place = members.iter().position(|member| (member.user, member.index) == (user, index));
        let told = place.is_some_and(|place| members.swap_remove(place).told.is_some());
        if members.is_empty() {
            self.by_name.remove(&name);
        }
        told
    }

    /// The name under which the list's URI is known: `user@host`, or the user part alone.
    fn resolve(&self, uri: &str) -> Option<&str> {
        let (_, address) = uri.split_once(':')?;
        let address = address.split([';', '?']).next().unwrap_or_default();
        let address = unescaped(address);
        let user = address.rsplit_once('@').map_or(&*address, |(user, _)| user);
        let known = self.by_name.get_key_value(&*address).or_else(|| self.by_name.get_key_value(user));
        known.map(|(name, _)| &**name)
    }

    /// Tells what a name's lines do, where it is something new.
    pub(super) fn tell(&mut self, name: &str, report: Option<Report>, out: &mut Vec<Output>) {
        for member in self.by_name.get_mut(name).into_iter().flatten() {
            if member.told != report {
                member.told = report;
                let source = Source::Line(member.index);
                out.push(Output::Told(Told { user: member.user, source, report, until: None }));
            }
        }
    }

    /// The list is lost: nothing is known from it.
    pub(super) fn lose(&mut self, out: &mut Vec<Output>) {
        let names: Vec<Box<str>> = self.by_name.keys().cloned().collect();
        names.iter().for_each(|name| self.tell(name, None, out));
    }
}

/// `%41` as `A`: PBXs escape what they like.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).filter(|_| *first == b'%').and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What a list's notifier has told, by the names of the members.
#[derive(Debug, Default)]
pub(super) struct ListState {
    versions: Versions,
    entries: HashMap<Box<str>, Entry, foldhash::fast::RandomState>,
}

/// The instances of one resource.
type Entry = SmallVec<[(u64, LineState); 1]>;

/// A list's NOTIFY, taken apart.
pub(super) struct Notice<'a> {
    pub(super) list: &'a List,
    pub(super) parts: &'a [Part<'a>],
    /// Whether full state was asked for.
    pub(super) asked: bool,
    pub(super) max_bytes: usize,
}

/// What came of it.
pub(super) struct Outcome {
    pub(super) applied: Applied,
    /// The names whose state may be another now.
    pub(super) changed: Vec<Box<str>>,
    /// Documents that could not be read.
    pub(super) unreadable: u64,
}

impl ListState {
    /// Takes a NOTIFY. Entries that nobody of the tenant has are left out.
    pub(super) fn apply(&mut self, notice: &Notice<'_>, members: &Members, names: &Names) -> Outcome {
        let step = self.versions.step(notice.list.version, notice.list.full, notice.asked);
        let mut outcome = Outcome { applied: step.applied, changed: Vec::new(), unreadable: 0 };
        if !step.take {
            return outcome;
        }
        let parts: HashMap<&[u8], &Part<'_>, foldhash::fast::RandomState> =
            notice.parts.iter().map(|part| (part.id, part)).collect();
        let mut before = if notice.list.full { std::mem::take(&mut self.entries) } else { HashMap::default() };
        for resource in &notice.list.resources {
            let Some(name) = members.resolve(&resource.uri) else { continue };
            let old = before.remove(name);
            let entry = self.entries.entry(name.into()).or_insert_with(|| old.unwrap_or_default());
            entry_of(resource, entry, notice, &parts, names, &mut outcome);
            if entry.is_empty() {
                self.entries.remove(name);
            }
            outcome.changed.push(name.into());
        }
        outcome.changed.extend(before.into_keys());
        outcome
    }

    /// What is known of a name: the greatest of its instances.
    pub(super) fn report(&self, name: &str) -> Option<Report> {
        self.entries.get(name)?.iter().filter_map(|(_, line)| line.report()).reduce(greater)
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let each: usize = self.entries.keys().map(|name| name.len()).sum();
        each + self.entries.capacity() * size_of::<(Box<str>, Entry)>()
    }
}

fn entry_of(
    resource: &Resource,
    entry: &mut Entry,
    notice: &Notice<'_>,
    parts: &HashMap<&[u8], &Part<'_>, foldhash::fast::RandomState>,
    names: &Names,
    outcome: &mut Outcome,
) {
    for instance in &resource.instances {
        let id = names.short(&instance.id);
        if instance.state == InstanceState::Terminated {
            entry.retain(|(known, _)| *known != id);
            continue;
        }
        let part = instance.cid.as_ref().and_then(|cid| parts.get(cid.as_bytes()));
        let Some(part) = part.filter(|_| instance.state == InstanceState::Active) else { continue };
        let Ok(mut info) = dialog_info::read(part.content, notice.max_bytes) else {
            outcome.unreadable += 1;
            continue;
        };
        info.drop_own();
        // A whole list brings whole documents, and may bring one again that is known.
        if notice.list.full {
            entry.retain(|(known, _)| *known != id);
        }
        let place = entry.iter().position(|(known, _)| *known == id).unwrap_or_else(|| {
            entry.push((id, LineState::default()));
            entry.len() - 1
        });
        if let Some((_, line)) = entry.get_mut(place)
            && line.apply(&info, notice.asked, names) == Applied::Gap
        {
            outcome.applied = Applied::Gap;
        }
    }
    entry.truncate(super::rlmi::MAX_INSTANCES);
}

#[cfg(test)]
mod tests {
    use super::super::rlmi::Instance;
    use super::*;
    use crate::presence::Presence;

    const ALICE: UserKey = UserKey(1);
    const BOB: UserKey = UserKey(2);
    const FULL_IDLE: &str = "<dialog-info version='0' state='full'/>";
    const FULL_BUSY: &str =
        "<dialog-info version='4' state='full'><dialog id='a'><state>confirmed</state></dialog></dialog-info>";
    const PARTIAL_IDLE: &str =
        "<dialog-info version='5' state='partial'><dialog id='a'><state>terminated</state></dialog></dialog-info>";

    struct World {
        members: Members,
        state: ListState,
    }

    impl World {
        fn new() -> Self {
            let mut members = Members::default();
            members.put(ALICE, 0, "401");
            members.put(BOB, 1, "402@pbx.example");
            Self { members, state: ListState::default() }
        }

        fn notice(&mut self, version: u32, full: bool, entries: &[(&str, InstanceState, &str)]) -> Applied {
            let resources = entries.iter().enumerate().map(|(at, (uri, state, _))| Resource {
                uri: (*uri).into(),
                instances: vec![Instance { id: "i".into(), state: *state, cid: Some(format!("{at}@x")) }],
            });
            let list = List { uri: String::new(), version: Some(version), full, resources: resources.collect() };
            let ids: Vec<String> = (0..entries.len()).map(|at| format!("{at}@x")).collect();
            let parts: Vec<Part<'_>> = entries
                .iter()
                .zip(&ids)
                .map(|((_, _, content), id)| Part { id: id.as_bytes(), content_type: b"", content: content.as_bytes() })
                .collect();
            let notice = Notice { list: &list, parts: &parts, asked: false, max_bytes: 4_096 };
            self.state.apply(&notice, &self.members, &Names::new([1, 2])).applied
        }

        fn presence(&self, name: &str) -> Option<Presence> {
            self.state.report(name).map(|report| match report {
                Report::Line { presence, .. } => presence,
                Report::User(state) => panic!("{state}"),
            })
        }
    }

    #[test]
    fn entries_are_followed_through_full_and_partial_lists() {
        use InstanceState::{Active, Pending, Terminated};
        let mut world = World::new();
        let (alice, bob) = ("sip:401@other.example;user=phone", "sip:402@pbx.example");
        let first = [(alice, Active, FULL_IDLE), (bob, Active, FULL_BUSY), ("sip:499@pbx.example", Active, FULL_BUSY)];
        assert_eq!(world.notice(0, true, &first), Applied::Whole);
        let both = |world: &World| (world.presence("401"), world.presence("402@pbx.example"));
        assert_eq!(both(&world), (Some(Presence::Available), Some(Presence::Busy)));
        assert_eq!(world.state.entries.len(), 2);
        assert_eq!(world.notice(1, false, &[(bob, Active, PARTIAL_IDLE)]), Applied::Whole);
        assert_eq!(both(&world), (Some(Presence::Available), Some(Presence::Available)));
        // A list is missing.
        assert_eq!(world.notice(3, false, &[(alice, Active, FULL_BUSY)]), Applied::Gap);
        assert_eq!(both(&world), (Some(Presence::Available), Some(Presence::Available)));
        // The whole list again, with one document that is known already, and one entry gone.
        assert_eq!(world.notice(4, true, &[(alice, Active, FULL_IDLE)]), Applied::Whole);
        assert_eq!(both(&world), (Some(Presence::Available), None));
        assert_eq!(world.notice(5, false, &[(bob, Pending, FULL_BUSY)]), Applied::Whole);
        assert_eq!(both(&world), (Some(Presence::Available), None));
        assert_eq!(world.notice(6, false, &[(alice, Terminated, "")]), Applied::Whole);
        assert_eq!(both(&world), (None, None));
    }

    #[test]
    fn a_line_behind_the_list_that_misses_a_version_asks() {
        let mut world = World::new();
        world.notice(0, true, &[("sip:401@x", InstanceState::Active, FULL_IDLE)]);
        let late = world.notice(1, false, &[("sip:401@x", InstanceState::Active, PARTIAL_IDLE)]);
        assert_eq!(late, Applied::Gap);
        assert_eq!(world.notice(2, true, &[("sip:401@x", InstanceState::Active, "no XML")]), Applied::Whole);
        assert_eq!(world.presence("401"), Some(Presence::Available));
    }

    #[test]
    fn members_are_told_what_is_new() {
        let mut members = World::new().members;
        let mut out = Vec::new();
        let busy = Some(Report::Line { presence: Presence::Busy, conference: false });
        members.tell("401", busy, &mut out);
        members.tell("401", busy, &mut out);
        members.tell("402@pbx.example", None, &mut out);
        members.tell("499", busy, &mut out);
        let told = |user, index, report| Output::Told(Told { user, source: Source::Line(index), report, until: None });
        assert_eq!(out, [told(ALICE, 0, busy)]);
        out.clear();
        members.lose(&mut out);
        assert_eq!(out, [told(ALICE, 0, None)]);
        assert!(members.has(BOB, 1, "402@pbx.example") && !members.take(BOB, 1) && !members.is_empty());
        members.tell("401", busy, &mut out);
        assert!(members.take(ALICE, 0) && members.is_empty() && members.by_name.is_empty());
    }

    #[test]
    fn names_are_found_by_user_part_or_address() {
        let members = World::new().members;
        for (uri, wanted) in [
            ("sip:401@pbx.example", Some("401")),
            ("sip:%340%31@pbx.example", Some("401")),
            ("sip:401", Some("401")),
            ("tel:401;phone-context=x", Some("401")),
            ("sip:402@pbx.example?x=y", Some("402@pbx.example")),
            ("sip:402@else.example", None),
            ("401", None),
            ("sip:%zz@x", None),
        ] {
            assert_eq!(members.resolve(uri), wanted, "{uri}");
        }
    }
}
