//! The body of `POST /v1/tenants/{tenant}/line-state`: one JSON object, an array of them, or one on each line.

use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::presence::Presence;

/// Entries of one body.
pub const MAX_ENTRIES: usize = 10_000;

/// Longest name of a user, number, device or state.
const MAX_WORD: usize = 256;

/// Longest name of a device.
const MAX_DEVICE: usize = 64;

/// Longest lifetime, in seconds.
const MAX_EXPIRES_S: u64 = 86_400;

/// The device of an entry that names none.
const DEVICE: &str = "line";

/// Whose state it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// A user's id.
    User(String),
    /// A number or extension of the user.
    Number(String),
}

/// What an entry says of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said<T> {
    Nothing,
    /// It is gone: `null`.
    Gone,
    State(T),
}

/// What the feed says of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineState {
    pub whose: Whose,
    pub device: String,
    /// What the device does.
    pub state: Said<Presence>,
    pub conference: bool,
    /// What the user has set, by a name that the tenant may have given.
    pub user_state: Said<String>,
    /// How long it holds; `None`: as the configuration says.
    pub expires: Option<Duration>,
}

/// Why a body is not read at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    #[error("the body is empty: send a JSON object, an array of objects, or an object on each line")]
    Empty,
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    #[error("the body has more than {MAX_ENTRIES} entries: make several requests of it")]
    TooMany,
}

/// An entry as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    user: Option<String>,
    number: Option<String>,
    device: Option<String>,
    #[serde(default, deserialize_with = "said")]
    state: Option<Option<String>>,
    #[serde(default, deserialize_with = "said")]
    user_state: Option<Option<String>>,
    conference: Option<bool>,
    expires_s: Option<u64>,
}

/// Tells what is null from what is not there.
fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Reads a body: for each entry what it says, or what is wrong with it.
///
/// # Errors
/// [`BodyFault`].
pub fn read(body: &[u8]) -> Result<Vec<Result<LineState, String>>, BodyFault> {
    let body = body.trim_ascii();
    if body.is_empty() {
        return Err(BodyFault::Empty);
    }
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Array(entries)) if entries.len() > MAX_ENTRIES => Err(BodyFault::TooMany),
        Ok(Value::Array(entries)) => Ok(entries.into_iter().map(entry).collect()),
        Ok(value) => Ok(vec![entry(value)]),
        // One line is no list of lines.
        Err(error) if !body.contains(&b'\n') || body.starts_with(b"[") => Err(BodyFault::NotJson(error.to_string())),
        Err(_) => lines(body),
    }
}

fn lines(body: &[u8]) -> Result<Vec<Result<LineState, String>>, BodyFault> {
    let mut read = Vec::new();
    for line in body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()) {
        if read.len() == MAX_ENTRIES {
            return Err(BodyFault::TooMany);
        }
        let value = serde_json::from_slice(line).map_err(|error| format!("this is not JSON: {error}"));
        read.push(value.and_then(entry));
    }
    Ok(read)
}

fn entry(value: Value) -> Result<LineState, String> {
    if !value.is_object() {
        return Err("this is not a JSON object".to_owned());
    }
    let Written { user, number, device, state, user_state, conference, expires_s } =
        serde_json::from_value(value).map_err(|error| error.to_string())?;
    let whose = match (user, number) {
        (Some(user), None) => Whose::User(word("user", user)?),
        (None, Some(number)) => Whose::Number(word("number", number)?),
        (Some(_), Some(_)) => return Err("`user` and `number` are both there: write one of them".to_owned()),
        (None, None) => return Err("neither `user` nor `number` says whose state it is".to_owned()),
    };
    let device = word("device", device.unwrap_or_else(|| DEVICE.to_owned()))?;
    if device.chars().count() > MAX_DEVICE {
        return Err(format!("`device` has more than {MAX_DEVICE} letters"));
    }
    let state = match state {
        None => Said::Nothing,
        Some(None) => Said::Gone,
        Some(Some(text)) => {
            Said::State(text.parse().map_err(|error| format!("`state`: {error}, or null where the device is gone"))?)
        }
    };
    let user_state = match user_state {
        None => Said::Nothing,
        Some(None) => Said::Gone,
        Some(Some(text)) => Said::State(word("user_state", text)?),
    };
    if state == Said::Nothing && user_state == Said::Nothing {
        return Err("neither `state` nor `user_state` is there".to_owned());
    }
    if expires_s.is_some_and(|seconds| seconds == 0 || seconds > MAX_EXPIRES_S) {
        return Err(format!("`expires_s` is from 1 to {MAX_EXPIRES_S}"));
    }
    let conference = conference.unwrap_or_default();
    if conference && state != Said::State(Presence::Busy) {
        return Err("`conference` is for `\"state\": \"busy\"` only".to_owned());
    }
    Ok(LineState { whose, device, state, conference, user_state, expires: expires_s.map(Duration::from_secs) })
}

fn word(key: &str, text: String) -> Result<String, String> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(format!("`{key}` is empty"));
    }
    if trimmed.len() > MAX_WORD || trimmed.chars().any(char::is_control) {
        return Err(format!("`{key}` has more than {MAX_WORD} bytes, or a control character"));
    }
    Ok(trimmed.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(user: &str) -> LineState {
        LineState {
            whose: Whose::User(user.to_owned()),
            device: "line".to_owned(),
            state: Said::State(Presence::Busy),
            conference: false,
            user_state: Said::Nothing,
            expires: None,
        }
    }

    #[test]
    fn a_body_is_an_object_an_array_or_lines() {
        let (a, b) = (r#"{"user":"a","state":"busy"}"#, r#"{"user":"b","state":"busy"}"#);
        let both = Ok(vec![Ok(busy("a")), Ok(busy("b"))]);
        assert_eq!(read(a.as_bytes()), Ok(vec![Ok(busy("a"))]));
        assert_eq!(read(b"{\n \"user\": \"a\",\n \"state\": \"busy\"\n}\n"), Ok(vec![Ok(busy("a"))]));
        assert_eq!(read(format!(" [{a}, {b}]\n").as_bytes()), both);
        assert_eq!(read(format!("{a}\n{b}\n").as_bytes()), both);
        assert_eq!(read(format!("{a}\r\n\r\n{b}").as_bytes()), both);
        assert_eq!(read(b"[]"), Ok(vec![]));
    }

    #[test]
    fn every_field_is_read() {
        let text = br#"{"number":" 402 ","device":"dect 1","state":"busy","conference":true,"user_state":"At Lunch","expires_s":60}"#;
        let wanted = LineState {
            whose: Whose::Number("402".to_owned()),
            device: "dect 1".to_owned(),
            state: Said::State(Presence::Busy),
            conference: true,
            user_state: Said::State("At Lunch".to_owned()),
            expires: Some(Duration::from_secs(60)),
        };
        assert_eq!(read(text), Ok(vec![Ok(wanted)]));
        let gone = read(br#"{"user":"a","state":null}"#).unwrap().remove(0).unwrap();
        assert_eq!((gone.state, gone.user_state), (Said::Gone, Said::Nothing));
        let unset = read(br#"{"user":"a","user_state":null}"#).unwrap().remove(0).unwrap();
        assert_eq!((unset.state, unset.user_state), (Said::Nothing, Said::Gone));
    }

    #[test]
    fn each_entry_tells_what_is_wrong_with_it() {
        for (entry, told) in [
            (r#"{"state":"busy"}"#, "neither `user` nor `number`"),
            (r#"{"user":"a","number":"1","state":"busy"}"#, "both there"),
            (r#"{"user":" ","state":"busy"}"#, "`user` is empty"),
            (r#"{"user":"a\u0000","state":"busy"}"#, "control character"),
            (r#"{"user":"a"}"#, "neither `state` nor `user_state`"),
            (r#"{"user":"a","state":"ringing"}"#, "`ringing` is no such state: write one of unknown"),
            (r#"{"user":"a","state":7}"#, "expected a string"),
            (r#"{"user":"a","state":"busy","colour":"red"}"#, "unknown field `colour`"),
            (r#"{"user":"a","state":"busy","expires_s":0}"#, "`expires_s` is from 1 to 86400"),
            (r#"{"user":"a","state":"available","conference":true}"#, "`conference` is for"),
            (r#"{"user":"a","state":"busy","device":""}"#, "`device` is empty"),
            (r"[]", "not a JSON object"),
        ] {
            let body = format!("{}\n{entry}\n{}", r#"{"user":"a","state":"busy"}"#, r#"{"user":"b","state":"busy"}"#);
            let read = read(body.as_bytes()).unwrap();
            assert_eq!((&read[0], &read[2]), (&Ok(busy("a")), &Ok(busy("b"))));
            let error = read[1].as_ref().unwrap_err();
            assert!(error.contains(told), "{entry}: {error}");
        }
        let read = read(b"{\"user\":\"a\",\"state\":\"busy\"}\n{\"user\":\n").unwrap();
        assert!(read[1].as_ref().unwrap_err().starts_with("this is not JSON"), "{read:?}");
    }

    #[test]
    fn what_is_no_list_of_entries_is_refused() {
        assert_eq!(read(b" \n"), Err(BodyFault::Empty));
        assert!(matches!(read(b"{\"user\":"), Err(BodyFault::NotJson(_))));
        assert!(matches!(read(b"[{\"user\":\n"), Err(BodyFault::NotJson(_))));
        let many = "{}\n".repeat(MAX_ENTRIES + 1);
        assert_eq!(read(many.as_bytes()), Err(BodyFault::TooMany));
        let many = format!("[{}1]", "1,".repeat(MAX_ENTRIES));
        assert_eq!(read(many.as_bytes()), Err(BodyFault::TooMany));
    }
}
