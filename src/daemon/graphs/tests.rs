use std::path::Path;

use super::*;
use crate::graph::{Call, Outcome};
use crate::telemetry::metrics::{Page, Series};

fn config(place: &Path, secret: &str) -> config::Graph {
    let file = place.join("secret");
    std::fs::write(&file, secret).unwrap();
    config::Graph {
        directory: "contoso.example".into(),
        client: "6e74172b-be56-4843-9ff4-e66a39bb12e3".into(),
        credential: config::GraphCredential::Secret(file),
        secret_ends: Some(0),
        login: "http://127.0.0.1:9".into(),
        base: "http://127.0.0.1:9".into(),
        ca: None,
        timeout: std::time::Duration::from_secs(5),
        max_requests: 1,
        notifications: None,
    }
}

#[test]
fn clients_stay_while_their_tables_do() {
    let place = tempfile::tempdir().unwrap();
    let graphs = Graphs::default();
    let one = config(place.path(), "x");
    let set = |graph: &config::Graph| graphs.set(&BTreeMap::from([(Arc::from("contoso"), graph.clone())]));
    set(&one);
    let first = graphs.of("contoso").unwrap();
    set(&one);
    assert!(Arc::ptr_eq(&first, &graphs.of("contoso").unwrap()));
    set(&config::Graph { max_requests: 2, ..one.clone() });
    assert!(!Arc::ptr_eq(&first, &graphs.of("contoso").unwrap()));
    let bad = place.path().join("bad.pem");
    std::fs::write(&bad, "nothing").unwrap();
    set(&config::Graph { ca: Some(bad), ..one });
    assert!(graphs.of("contoso").is_none());
    let causes = graphs.causes();
    assert_eq!(causes[0].name, "graph-unusable");
    assert!(causes[0].text.contains("no certificate in PEM form"), "{}", causes[0].text);
    graphs.set(&BTreeMap::new());
    assert!(graphs.causes().is_empty());
}

#[tokio::test]
async fn what_is_wrong_is_told_by_tenant() {
    let place = tempfile::tempdir().unwrap();
    let graphs = Graphs::default();
    let secret = "the secret itself";
    graphs.set(&BTreeMap::from([(Arc::from("contoso"), config(place.path(), secret))]));
    std::fs::remove_file(place.path().join("secret")).unwrap();
    let fault = graphs.of("contoso").unwrap().test().await.unwrap_err();
    assert!(fault.to_string().contains("cannot be read"), "{fault}");
    let names: Vec<&str> = graphs.causes().iter().map(|cause| cause.name).collect();
    assert_eq!(names, ["graph-token", "graph-secret-near-end"]);
    let observer = graphs.meters.of_tenant(&Arc::from("contoso"));
    observer.done(Call::Batch, Outcome::Throttled, std::time::Duration::from_millis(30));
    let mut page = Page::default();
    graphs.write(&mut page);
    let text = page.into_text();
    for line in [
        "trunkway_graph_token_failing{tenant=\"contoso\"} 1",
        "trunkway_graph_secret_expiry_seconds{tenant=\"contoso\"} 0",
        "trunkway_graph_requests_total{call=\"batch\",outcome=\"throttled\",tenant=\"contoso\"} 1",
        "trunkway_graph_request_seconds_count{tenant=\"contoso\"} 1",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.contains(secret) && !format!("{graphs:?}").contains(secret));
}
