//! `/lab/…`: the same control for those outside of the process, as JSON. It is open to who reaches the port.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::aggregate::{ClientState, Device};
use super::answer::Answer;
use super::faults::{Fault, Trouble};
use super::handle::GraphControl;
use super::route::Endpoint;
use super::tenant::{GraphUser, Removal};
use super::text::{pairs, value};

/// Requests that one answer lists.
const MAX_LISTED: usize = 1_000;

/// Answers a request to `/lab/{path}`.
pub(super) fn answer(lab: &GraphControl, method: &str, path: &str, query: &str, body: &[u8]) -> Answer {
    let done = match (method, path) {
        ("GET", "complaints") => Ok(json!(lab.complaints())),
        ("GET", "requests") => Ok(requests(lab, query)),
        ("GET", "user") => user(lab, query),
        ("POST", "client") => read(body).and_then(|wanted| client(lab, &wanted)),
        ("POST", "prefer") => read(body).and_then(|wanted| prefer(lab, &wanted)),
        ("POST", "advance") => read(body).map(|wanted| advance(lab, &wanted)),
        ("POST", "fault") => read(body).and_then(|wanted| fault(lab, wanted)),
        ("DELETE", "faults") => {
            lab.clear_faults();
            Ok(Value::Null)
        }
        ("DELETE", "journal") => {
            lab.clear_journal();
            Ok(Value::Null)
        }
        ("POST", "secrets") => read(body).map(|wanted| secrets(lab, &wanted)),
        ("POST", "links") => read(body).map(|wanted| expire_links(lab, &wanted)),
        ("POST", "tokens") => read(body).map(|wanted| revoke_tokens(lab, &wanted)),
        ("POST", "users") => read(body).and_then(|wanted| add_user(lab, wanted)),
        ("DELETE", "users") => remove_user(lab, query),
        ("POST", "members") => read(body).map(|wanted| member(lab, &wanted)),
        _ => Err(format!("there is no {method} /lab/{path}: see `trunkway lab graph --help`")),
    };
    match done {
        Ok(Value::Null) => Answer::empty(204),
        Ok(body) => Answer::json(200, body),
        Err(text) => Answer::json(400, json!({ "error": text })),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    tenant: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Client {
    tenant: String,
    user: String,
    #[serde(default)]
    device: Option<String>,
    state: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice {
    tenant: String,
    user: String,
    availability: Option<String>,
    activity: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    seconds: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Secrets {
    tenant: String,
    expired: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Member {
    tenant: String,
    group: String,
    #[serde(default)]
    name: String,
    user: String,
    member: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewUser {
    tenant: String,
    upn: String,
    name: String,
    mail: Option<String>,
    #[serde(default)]
    business_phones: Vec<String>,
    mobile_phone: Option<String>,
    #[serde(default)]
    teams_numbers: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultWanted {
    endpoint: Option<Endpoint>,
    tenant: Option<String>,
    user: Option<String>,
    times: Option<u32>,
    #[serde(default)]
    skip: u32,
    status: Option<u16>,
    retry_after: Option<f64>,
    delay_ms: Option<u64>,
    /// `hang`, `cut`, `lost-answer`, `wrong-json`, `html`.
    trouble: Option<String>,
}

fn read<T: for<'a> Deserialize<'a>>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("the body is not what is expected here: {error}"))
}

fn expire_links(lab: &GraphControl, wanted: &Named) -> Value {
    lab.expire_links(&wanted.tenant);
    Value::Null
}

fn revoke_tokens(lab: &GraphControl, wanted: &Named) -> Value {
    lab.revoke_tokens(&wanted.tenant);
    Value::Null
}

fn found(there: bool) -> Result<Value, String> {
    if there { Ok(Value::Null) } else { Err("there is no such tenant, user or state".to_owned()) }
}

fn requests(lab: &GraphControl, query: &str) -> Value {
    let query = pairs(query);
    let endpoint = value(&query, "endpoint").and_then(|word| serde_json::from_value::<Endpoint>(json!(word)).ok());
    let user = value(&query, "user");
    let all = lab.requests();
    let wanted = all.into_iter().rev().filter(|record| {
        endpoint.is_none_or(|endpoint| record.endpoint == endpoint)
            && user.is_none_or(|user| record.user.as_deref() == Some(user))
    });
    // The newest first, so that what is cut off is old.
    json!(wanted.take(MAX_LISTED).collect::<Vec<_>>())
}

fn user(lab: &GraphControl, query: &str) -> Result<Value, String> {
    let query = pairs(query);
    let (tenant, user) = (value(&query, "tenant").unwrap_or_default(), value(&query, "user").unwrap_or_default());
    let shown = lab.shown(tenant, user).ok_or("there is no such tenant or user")?;
    let session = lab.session(tenant, user);
    Ok(json!({
        "id": lab.user_id(tenant, user),
        "availability": shown.availability,
        "activity": shown.activity,
        "session": session.map(|session| json!({
            "availability": session.pair.availability,
            "activity": session.pair.activity,
            "remaining_s": session.remaining.as_secs(),
        })),
    }))
}

fn client(lab: &GraphControl, wanted: &Client) -> Result<Value, String> {
    let device = wanted.device.as_deref().unwrap_or("desktop");
    let device = Device::from_word(device).ok_or_else(|| format!("{device:?} is not desktop, mobile or web"))?;
    let state = ClientState::from_word(&wanted.state).ok_or_else(|| {
        format!("{:?} is not offline, connected-inactive, connected-active, busy, in-a-call, in-a-meeting, presenting, focusing or focus-or-presenting", wanted.state)
    })?;
    found(lab.set_client(&wanted.tenant, &wanted.user, device, state))
}

fn prefer(lab: &GraphControl, wanted: &Choice) -> Result<Value, String> {
    let choice = wanted.availability.as_deref().zip(wanted.activity.as_deref());
    found(lab.prefer(&wanted.tenant, &wanted.user, choice))
}

fn advance(lab: &GraphControl, wanted: &Advance) -> Value {
    lab.advance(Duration::try_from_secs_f64(wanted.seconds).unwrap_or_default());
    Value::Null
}

fn secrets(lab: &GraphControl, wanted: &Secrets) -> Value {
    lab.set_secrets_expired(&wanted.tenant, wanted.expired);
    Value::Null
}

fn fault(lab: &GraphControl, wanted: FaultWanted) -> Result<Value, String> {
    let trouble = match (wanted.status, wanted.delay_ms, wanted.trouble.as_deref()) {
        (Some(code), None, None) => Trouble::Status { code, retry_after: wanted.retry_after },
        (None, Some(delay), None) => Trouble::Delay(Duration::from_millis(delay)),
        (None, None, Some("hang")) => Trouble::Hang,
        (None, None, Some("cut")) => Trouble::Cut,
        (None, None, Some("lost-answer")) => Trouble::LostAnswer,
        (None, None, Some("wrong-json")) => Trouble::WrongJson,
        (None, None, Some("html")) => Trouble::Html,
        _ => {
            return Err(
                "give one of status, delay_ms and trouble (hang, cut, lost-answer, wrong-json, html)".to_owned()
            );
        }
    };
    let FaultWanted { endpoint, tenant, user, times, skip, .. } = wanted;
    let id = lab.fault(Fault { trouble, endpoint, tenant, user, times, skip });
    Ok(json!({ "id": id.0 }))
}

fn add_user(lab: &GraphControl, wanted: NewUser) -> Result<Value, String> {
    let mut user = GraphUser::new(&wanted.upn, &wanted.name);
    user.mail = wanted.mail.or(user.mail);
    user.business_phones = wanted.business_phones;
    user.mobile_phone = wanted.mobile_phone;
    user.teams_numbers = wanted.teams_numbers;
    let id = lab.add_user(&wanted.tenant, user).ok_or("there is no such tenant")?;
    Ok(json!({ "id": id }))
}

fn remove_user(lab: &GraphControl, query: &str) -> Result<Value, String> {
    let query = pairs(query);
    let (tenant, user) = (value(&query, "tenant").unwrap_or_default(), value(&query, "user").unwrap_or_default());
    found(lab.remove_user(tenant, user, Removal::Soft))
}

fn member(lab: &GraphControl, wanted: &Member) -> Value {
    let name = if wanted.name.is_empty() { &wanted.group } else { &wanted.name };
    json!({ "changed": lab.set_member(&wanted.tenant, &wanted.group, name, &wanted.user, wanted.member) })
}
