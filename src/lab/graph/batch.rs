//! JSON batching: up to twenty requests in one, answered in another order than asked.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::faults::{Hit, Trouble};
use super::login::Access;
use super::route::{Endpoint, route};
use super::text::pairs;
use super::world::{Begun, Part, World};

/// Requests in one batch.
const MAX_ITEMS: usize = 20;

/// The items of a batch; none when it is none, which its answer then says.
pub(super) fn items(body: &Value) -> Vec<Part> {
    let requests = body.get("requests").and_then(Value::as_array);
    requests.into_iter().flatten().take(MAX_ITEMS + 1).map(item).collect()
}

fn item(request: &Value) -> Part {
    let word = |name: &str| request.get(name).and_then(Value::as_str).unwrap_or_default();
    let (path, query) = word("url").split_once('?').unwrap_or((word("url"), ""));
    let body = request.get("body").cloned().unwrap_or(Value::Null);
    let header = |name: &str| {
        let headers = request.get("headers").and_then(Value::as_object)?;
        headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?.1.as_str()
    };
    let typed = header("content-type").is_some_and(|kind| kind.starts_with("application/json"));
    let wrong = (!body.is_null() && !typed).then(|| {
        Answer::error(400, "BadRequest", "Write request id : an item with a body needs a Content-Type header.")
    });
    let depends_on = request.get("dependsOn").and_then(Value::as_array);
    Part {
        name: word("id").to_owned(),
        depends_on: depends_on.into_iter().flatten().filter_map(|id| id.as_str().map(str::to_owned)).collect(),
        route: route(word("method"), &format!("/v1.0/{}", path.trim_start_matches('/'))),
        query: pairs(query),
        prefer: header("prefer").map(str::to_owned),
        body,
        wrong,
        user: None,
        hit: Hit::default(),
    }
}

impl World {
    /// Answers a batch.
    pub(super) fn answer_batch(&mut self, begun: &Begun, access: Access) -> Answer {
        if let Some(wrong) = &begun.whole.wrong {
            return wrong.clone();
        }
        if let Some(Trouble::Status { code, retry_after }) = begun.whole.hit.trouble {
            return Answer::trouble(code, retry_after);
        }
        if let Some(text) = malformed(&begun.items) {
            self.complain_of(Endpoint::Batch, Some(access.tenant), None, format!("sends a batch that {text}"));
            return Answer::error(400, "BadRequest", &format!("The batch {text}."));
        }
        let mut statuses: HashMap<&str, u16> = HashMap::new();
        let mut responses = Vec::new();
        for part in &begun.items {
            let failed = |id: &String| statuses.get(id.as_str()).is_none_or(|status| *status >= 400);
            let answer = match part.depends_on.iter().any(failed) {
                true => Answer::error(424, "FailedDependency", "A request that this one depends on failed."),
                false => self.answer_part(begun, part, access),
            };
            if part.wrong.is_some() {
                let text = "sends an item with a body and without a Content-Type".to_owned();
                self.complain_of(Endpoint::Batch, Some(access.tenant), part.user, text);
            }
            statuses.insert(&part.name, answer.status);
            self.write_down(begun, part, answer.status, true);
            responses.push(response(&part.name, answer));
        }
        // Graph does not keep the order, so neither does this.
        responses.reverse();
        Answer::json(200, json!({ "responses": responses }))
    }
}

/// What is wrong with a batch as a whole.
fn malformed(items: &[Part]) -> Option<&'static str> {
    let names: HashSet<&str> = items.iter().map(|item| item.name.as_str()).collect();
    match items.len() {
        0 => Some("has no requests"),
        count if count > MAX_ITEMS => Some("has more than 20 requests"),
        count if names.len() < count || names.contains("") => Some("has requests without an id of their own"),
        _ => None,
    }
}

fn response(id: &str, answer: Answer) -> Value {
    let mut headers: Map<String, Value> =
        answer.headers.into_iter().map(|(name, value)| (title(name), Value::String(value))).collect();
    let mut response = json!({ "id": id, "status": answer.status });
    if let Some(body) = answer.body {
        headers.insert("Content-Type".to_owned(), json!("application/json"));
        response["body"] = body;
    }
    response["headers"] = Value::Object(headers);
    response
}

/// A header's name as batches write it: `Retry-After`.
fn title(name: &str) -> String {
    let words = name.split('-').map(|word| {
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
    });
    words.collect::<Vec<_>>().join("-")
}
