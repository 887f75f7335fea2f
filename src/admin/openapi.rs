//! The description of all endpoints (OpenAPI 3.1), as it stands in the repository.

use axum::http::header;
use axum::response::IntoResponse;

use super::access::{Need, Routes};

/// `config/api/openapi.json`.
const DOCUMENT: &str = include_str!("../../config/api/openapi.json");

/// The endpoint.
pub(super) fn routes() -> Routes {
    Routes::new().get("/v1/openapi.json", Need::READ.in_tenants(), document)
}

async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::super::routes::all;
    use super::*;

    fn parsed() -> Value {
        serde_json::from_str(DOCUMENT).unwrap()
    }

    /// All operations by path and method, with scope and whether tokens for some tenants may come in.
    fn described(document: &Value) -> BTreeMap<(String, String), (String, bool)> {
        let mut all = BTreeMap::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let scope = operation["x-scope"].as_str().expect("a scope").to_owned();
                let tenants = operation["x-tenants"].as_bool().expect("whether tenants' tokens may come in");
                all.insert((path.clone(), method.to_uppercase()), (scope, tenants));
            }
        }
        all
    }

    #[test]
    fn document_and_code_have_the_same_endpoints_and_needs() {
        let (_, declared) = all().into_parts();
        let coded: BTreeMap<(String, String), (String, bool)> = declared
            .iter()
            .map(|it| {
                ((it.path.to_owned(), it.method.to_string()), (it.need.scope.word().to_owned(), it.need.in_tenants))
            })
            .collect();
        assert_eq!(coded.len(), declared.len(), "no endpoint twice");
        let described = described(&parsed());
        for (endpoint, needs) in &coded {
            assert_eq!(described.get(endpoint), Some(needs), "config/api/openapi.json: {endpoint:?}");
        }
        for endpoint in described.keys() {
            assert!(coded.contains_key(endpoint), "config/api/openapi.json has {endpoint:?}, the code has not");
        }
    }

    #[test]
    fn every_operation_says_what_it_does_and_how_it_fails() {
        let document = parsed();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let name = format!("{method} {path}");
                assert!(operation["summary"].as_str().is_some_and(|text| text.len() > 5), "{name}");
                assert!(operation["operationId"].is_string(), "{name}");
                let responses = operation["responses"].as_object().unwrap();
                for code in ["401", "403"] {
                    assert!(responses.contains_key(code), "{name}: {code}");
                }
                assert!(responses.keys().any(|code| code.starts_with('2')), "{name}");
                if operation.get("requestBody").is_some() {
                    assert!(responses.contains_key("413") && responses.contains_key("400"), "{name}");
                }
                if path.contains('{') {
                    assert!(responses.contains_key("404"), "{name}");
                }
            }
        }
        each_reference(&document, &mut |reference| {
            let pointer = reference.strip_prefix('#').expect("references stay inside");
            assert!(document.pointer(pointer).is_some(), "{reference} is not there");
        });
    }

    fn each_reference(value: &Value, call: &mut dyn FnMut(&str)) {
        match value {
            Value::Object(map) => {
                map.get("$ref").and_then(Value::as_str).into_iter().for_each(&mut *call);
                map.values().for_each(|value| each_reference(value, call));
            }
            Value::Array(list) => list.iter().for_each(|value| each_reference(value, call)),
            _ => {}
        }
    }
}
