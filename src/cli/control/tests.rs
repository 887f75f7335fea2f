//! Tests of what is sent and shown.

use super::*;

#[test]
fn texts_of_any_kind_are_part_of_a_uri() {
    assert_eq!(encoded("+44 1632[0-9]\t#"), "%2B44%201632%5B0-9%5D%09%23");
    assert_eq!(encoded("a-Z_0.9~"), "a-Z_0.9~");
}

#[test]
fn socket_is_that_of_the_configuration_relative_to_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("edge.toml");
    let socket = |text: &str| {
        std::fs::write(&file, text).unwrap();
        configured(&file)
    };
    assert_eq!(socket("[control]\nsocket = 'c.sock'\n").unwrap(), directory.path().join("c.sock"));
    assert_eq!(socket("[control]\nsocket = '/run/c.sock'\n").unwrap(), Path::new("/run/c.sock"));
    assert!(matches!(socket("[node]\nname = 'x'\n"), Err(Failure::Fault(text)) if text.contains("give --socket")));
}

#[test]
fn columns_are_as_wide_as_their_widest_cell() {
    let rows = [vec!["1".to_owned(), "long tag".to_owned()], vec!["12345".to_owned(), "t".to_owned()]];
    assert_eq!(columns(&["p", "tag"], &rows), "p      tag\n1      long tag\n12345  t\n");
}

#[test]
fn id_is_new_each_time_unless_it_is_given() {
    let id = |signature: &Signature, body: Value| signed(signature, body)["id"].as_str().unwrap().to_owned();
    let none = Signature::default();
    assert_ne!(id(&none, json!({})), id(&none, json!({})));
    assert_eq!(id(&none, json!({ "id": "mine" })), "mine");
    let given = Signature { id: Some("given".to_owned()), who: Some("anna".to_owned()) };
    assert_eq!(id(&given, json!({ "id": "mine" })), "given");
    assert_eq!(signed(&given, json!({}))["who"], "anna");
}

#[test]
fn record_is_told_in_words() {
    let record = json!({
        "id": "1", "who": "uid 0",
        "changes": [{"plan": "p", "prefix": "+44", "owner": "acme", "old": null, "new": {"tag": "a", "active": false}}],
        "users": [{"tenant": "acme", "user": "anna", "old": {"number": "+441", "lives": "teams"}, "new": null}],
        "tenants": [{"tenant": "bee", "removed": true}],
    });
    let text = changed(&record);
    for part in ["change 1 by uid 0", "p +44 of `acme`", "a (inactive)", "anna of acme", "+441 in teams", "removed"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(changed(&json!({ "id": "2" })).contains("nothing had to be changed"));
}
