//! `pass_headers` of `[trunk.NAME]`, and `[[trunk.NAME.header]]`: rules for headers.

use regex::bytes::RegexBuilder;

use crate::config::log::{At, Draft, Place};
use crate::config::reader::{Complaint, Table, quoted};
use crate::trunk::TrunkKind;
use crate::trunk::dialect::Headers;
use crate::trunk::dialect::headers::{
    Action, MAX_NAME, MAX_ON, MAX_PASSED, MAX_RULES, MAX_TEXT, Name, OWN, On, Part, Pattern, Rule, Value, Variable,
    When,
};

/// Memory of one compiled pattern, and of its cache.
const PATTERN_BYTES: usize = 256 << 10;

/// What a rule does, before its value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Add,
    Set,
    Remove,
    Rename,
}

const VERBS: [(&str, Verb); 4] =
    [("add", Verb::Add), ("set", Verb::Set), ("remove", Verb::Remove), ("rename", Verb::Rename)];

pub(super) fn read(table: &mut Table<'_>, kind: TrunkKind) -> Headers {
    let mut headers = Headers::of_kind(kind);
    if let Some(names) = table.parsed_list("pass_headers", open_name) {
        if let Some(one) = names.get(MAX_PASSED) {
            too_many(table, &one.place, "pass_headers", MAX_PASSED);
        }
        headers.passed = names.into_iter().take(MAX_PASSED).map(|name| name.value).collect();
    }
    let of = table.title.clone();
    let tables = table.tables("header", "trunk.NAME.header", |index| format!("header rule {} of {of}", index + 1));
    if let Some(one) = tables.get(MAX_RULES) {
        too_many(table, &one.place, "header", MAX_RULES);
    }
    let (mut inbound, mut outbound) = (Vec::new(), Vec::new());
    for mut table in tables.into_iter().take(MAX_RULES) {
        match rule(&mut table) {
            Some((true, rule)) => inbound.push(rule),
            Some((false, rule)) => outbound.push(rule),
            None => {}
        }
        table.finish();
    }
    headers.inbound = inbound.into();
    headers.outbound = outbound.into();
    headers
}

fn too_many(table: &Table<'_>, place: &Place, key: &str, most: usize) {
    let message = format!("{}: `{key}` has more than {most} entries", table.title);
    table.log().add(Draft::error(*place, message).label("one too many"));
}

fn rule(table: &mut Table<'_>) -> Option<(bool, Rule)> {
    for key in ["direction", "action", "name"] {
        table.must_have(key);
    }
    let inbound = table.choice("direction", &[("in", true), ("out", false)]);
    let verb = table.choice("action", &VERBS);
    let name = table.parsed("name", free_name);
    let on = table.parsed_list("on", on);
    if let Some(one) = on.as_ref().and_then(|on| on.get(MAX_ON)) {
        too_many(table, &one.place, "on", MAX_ON);
    }
    if table.is_empty_list("on") {
        let message = format!("{}: `on` is empty", table.title);
        let help = "leave `on` out for all requests and answers";
        table.log().add(Draft::error(table.place_of("on"), message).help(help));
    }
    let value = table.parsed("value", value);
    let new_name = table.parsed("new_name", free_name);
    let when = when(table);
    let verb = verb?.value;
    wanted(table, "value", matches!(verb, Verb::Add | Verb::Set));
    wanted(table, "new_name", verb == Verb::Rename);
    let action = match verb {
        Verb::Add => Action::Add(value?.value),
        Verb::Set => Action::Set(value?.value),
        Verb::Remove => Action::Remove,
        Verb::Rename => Action::Rename(new_name?.value),
    };
    let on = on
        .map_or_else(|| vec![On::Requests, On::Answers], |on| on.into_iter().take(MAX_ON).map(|on| on.value).collect());
    Some((inbound?.value, Rule { on: on.into(), name: name?.value, action, when }))
}

/// Complains of a key that is missing, or that the action has no use for.
fn wanted(table: &Table<'_>, key: &str, wanted: bool) {
    if wanted {
        return table.must_have(key);
    }
    if table.has(key) {
        let message = format!("{}: `{key}` means nothing to this action", table.title);
        table.log().add(Draft::error(table.place_of(key), message).label("not wanted"));
    }
}

fn when(table: &mut Table<'_>) -> Option<When> {
    let name = table.parsed("when", name);
    let matches = table.parsed("matches", pattern);
    if matches.is_some() && !table.has("when") {
        let message = format!("{}: `matches` says nothing without `when`", table.title);
        let help = "name the header that must match in `when`";
        table.log().add(Draft::error(table.place_of("matches"), message).help(help));
    }
    name.map(|At { value: name, .. }| When { name, matches: matches.map(|matches| matches.value) })
}

fn pattern(text: &str) -> Result<Pattern, Complaint> {
    if text.is_empty() || text.len() > MAX_TEXT {
        return Err(Complaint::new(format!("a pattern has 1 to {MAX_TEXT} characters")));
    }
    let built = RegexBuilder::new(text)
        .unicode(false)
        .size_limit(PATTERN_BYTES)
        .dfa_size_limit(PATTERN_BYTES)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => {
                Complaint::new("the pattern is too large once its repetitions are written out")
            }
            error => {
                let text = error.to_string();
                let last = text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ");
                Complaint::new(last)
            }
        })?;
    Ok(Pattern(built))
}

/// A header's name.
fn name(text: &str) -> Result<Box<str>, Complaint> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte);
    if text.is_empty() || text.len() > MAX_NAME || !text.bytes().all(token) {
        let message = format!("{} is no name of a header", quoted(text));
        let help = format!("1 to {MAX_NAME} letters, digits, and `-.!%*_+'~`, without a colon");
        return Err(Complaint::new(message).help(help));
    }
    Ok(text.into())
}

/// A header's name that a rule may touch.
fn free_name(text: &str) -> Result<Box<str>, Complaint> {
    let checked = name(text)?;
    if OWN.iter().any(|own| own.eq_ignore_ascii_case(text)) {
        let help = match text.to_ascii_lowercase().as_str() {
            "from" | "f" | "to" | "t" => {
                "numbers are rewritten by `translate` rules, and who calls is said by the table `caller_id`"
            }
            _ => "calls live by this header: the edge writes it itself",
        };
        return Err(Complaint::new(format!("no rule may touch {}", quoted(text))).help(help));
    }
    Ok(checked)
}

/// A header's name, or the beginning of names with `*` at its end.
fn open_name(text: &str) -> Result<Name, Complaint> {
    let (start, open) = match text.strip_suffix('*') {
        Some(start) => (start, true),
        None => (text, false),
    };
    Ok(Name { text: name(start)?, open })
}

fn on(text: &str) -> Result<On, Complaint> {
    let digit =
        |at: usize| text.as_bytes().get(at).filter(|byte| byte.is_ascii_digit()).map(|byte| u16::from(byte - b'0'));
    let open = |at: usize| text.as_bytes().get(at).is_some_and(|&byte| byte == b'x');
    if text.len() == 3 {
        let range = match (digit(0), digit(1), digit(2)) {
            (Some(a @ 1..=6), Some(b), Some(c)) => Some((a * 100 + b * 10 + c, a * 100 + b * 10 + c)),
            (Some(a @ 1..=6), Some(b), None) if open(2) => Some((a * 100 + b * 10, a * 100 + b * 10 + 9)),
            (Some(a @ 1..=6), None, None) if open(1) && open(2) => Some((a * 100, a * 100 + 99)),
            _ => None,
        };
        if let Some((first, last)) = range {
            return Ok(On::Status(first, last));
        }
    }
    match text {
        "requests" => Ok(On::Requests),
        "answers" => Ok(On::Answers),
        _ if !text.is_empty() && text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_uppercase()) => {
            Ok(On::Method(text.into()))
        }
        _ => Err(Complaint::new(format!("{} names no messages", quoted(text)))
            .help("`requests`, `answers`, a method such as `INVITE`, or a status such as `486`, `18x` or `2xx`")),
    }
}

/// A value: text with variables in braces; `{{` and `}}` are braces.
fn value(text: &str) -> Result<Value, Complaint> {
    if text.len() > MAX_TEXT {
        return Err(Complaint::new(format!("a value has at most {MAX_TEXT} characters")));
    }
    if text.chars().any(char::is_control) {
        let help = "a value is one line";
        return Err(Complaint::new("a value holds no line breaks and other control characters").help(help));
    }
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, tail) = rest.split_at(at);
        plain.push_str(before);
        if let Some(after) = tail.strip_prefix("{{").or_else(|| tail.strip_prefix("}}")) {
            plain.push_str(&tail[..1]);
            rest = after;
            continue;
        }
        let inside = tail.strip_prefix('{').and_then(|tail| tail.split_once('}'));
        let Some((word, after)) = inside else {
            let help = "a brace that is meant as such is written twice: `{{`, `}}`";
            return Err(Complaint::new("a brace has no other end").help(help));
        };
        if !plain.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut plain).into()));
        }
        parts.push(Part::Variable(variable(word)?));
        rest = after;
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        parts.push(Part::Text(plain.into()));
    }
    Ok(Value(parts.into()))
}

fn variable(word: &str) -> Result<Variable, Complaint> {
    if let Some(header) = word.strip_prefix("header:") {
        return Ok(Variable::Header(name(header)?));
    }
    let known = Variable::WORDS.into_iter().find(|(known, _)| *known == word);
    known.map(|(_, variable)| variable).ok_or_else(|| {
        let words: Vec<String> = Variable::WORDS.iter().map(|(word, _)| format!("{{{word}}}")).collect();
        Complaint::new(format!("there is no variable {}", quoted(word)))
            .help(format!("known are {} and {{header:NAME}}", words.join(", ")))
    })
}
