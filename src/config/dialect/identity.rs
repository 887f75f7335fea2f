//! Who calls, and who has diverted the call: what a peer is told of it. `[trunk.NAME.caller_id]` and some keys of
//! `[trunk.NAME]`.

use std::sync::Arc;

use crate::config::log::Draft;
use crate::config::reader::{Complaint, Table};
use crate::trunk::TrunkKind;
use crate::trunk::dialect::Identity;
use crate::trunk::dialect::identity::{Diverted, From, MAX_NUMBER, Told};

const FROM: [(&str, From); 3] = [("pass", From::Pass), ("asserted", From::Asserted), ("number", From::Number)];

const TOLD: [(&str, Told); 4] =
    [("pass", Told::Pass), ("add", Told::Add), ("strip", Told::Strip), ("number", Told::Number)];

const DIVERTED: [(&str, Diverted); 5] = [
    ("history-info", Diverted::HistoryInfo),
    ("diversion", Diverted::Diversion),
    ("both", Diverted::Both),
    ("strip", Diverted::Strip),
    ("pass", Diverted::Pass),
];

pub(super) fn read(table: &mut Table<'_>, kind: TrunkKind) -> Identity {
    let mut identity = Identity::of_kind(kind);
    if let Some(caller) = table.table("caller_id", "trunk.NAME.caller_id") {
        read_caller(caller, &mut identity);
    }
    if let Some(diverted) = table.choice("diverted", &DIVERTED) {
        identity.diverted = diverted.value;
    }
    if let Some(most) = table.number("max_diversions", 0..=100) {
        identity.max_diversions = u8::try_from(most.value).unwrap_or(u8::MAX);
    }
    if let Some(flag) = table.boolean("pass_referred_by") {
        identity.referred_by = flag.value;
    }
    if let Some(flag) = table.boolean("pass_signatures") {
        identity.signatures = flag.value;
    }
    identity
}

fn read_caller(mut table: Table<'_>, identity: &mut Identity) {
    let t = &mut table;
    if let Some(flag) = t.boolean("trusted") {
        identity.trusted = flag.value;
        // Trust goes both ways where nothing else is said.
        identity.believed = flag.value;
    }
    if let Some(flag) = t.boolean("believed") {
        identity.believed = flag.value;
    }
    identity.number = t.parsed("number", number).map(|number| number.value);
    if let Some(from) = t.choice("from", &FROM) {
        identity.from = from.value;
        must_have_number(t, "from", from.value == From::Number);
    }
    let mut told = |key, told: &mut Told| {
        let Some(given) = t.choice(key, &TOLD) else { return };
        *told = given.value;
        must_have_number(t, key, given.value == Told::Number);
    };
    told("asserted", &mut identity.asserted);
    told("preferred", &mut identity.preferred);
    told("remote_party_id", &mut identity.remote_party);
    table.finish();
}

fn must_have_number(table: &Table<'_>, key: &str, wanted: bool) {
    if wanted && !table.has("number") {
        let message = format!("{}: `{key}` asks for the number of the trunk, but there is no `number`", table.title);
        let help = "give `number`, as the operator at the other end writes it";
        table.log().add(Draft::error(table.place_of(key), message).help(help));
    }
}

/// A number that may stand in a URI as it is.
fn number(text: &str) -> Result<Arc<str>, Complaint> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    if digits.is_empty() || text.len() > MAX_NUMBER || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let help = "digits, with or without `+` in front: \"+441632960000\"";
        return Err(Complaint::new(format!("{} is no telephone number", super::super::reader::quoted(text))).help(help));
    }
    Ok(text.into())
}
