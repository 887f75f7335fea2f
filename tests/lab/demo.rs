//! The demo against a toy edge, whole and with one fault at a time, and against edges that do nothing.

use std::path::Path;

use trunkway::cli::demo::{self, DemoOptions, DemoReport, EdgeUnderTest, RunningEdge};

use super::toy_edge::{Fault, ToyEdge};

async fn demo_with(fault: Fault) -> DemoReport {
    let options = DemoOptions { ladder: 3, ascii: true, ..DemoOptions::default() };
    demo::run(&options, ToyEdge(fault)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_passes_with_a_proxy_that_does_nothing_wrong() {
    let report = demo_with(Fault::None).await;
    let text = report.to_text();
    println!("{text}");
    assert!(report.passed(), "{text}");
    assert!(report.ladder.contains("INVITE (1) +SDP") && report.ladder.contains("BYE (2)"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    assert!(report.cost.messages > 150 && report.cost.peak_kib > 0, "{:?}", report.cost);
    assert!(report.cost.elapsed_ms < 30_000, "{:?}", report.cost);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn legs_with_call_ids_of_their_own_are_found_by_number() {
    // The toy gives the callee's leg another Call-ID but does not map later requests: those calls break, refused ones do not.
    let report = demo_with(Fault::RewritesCallId).await;
    let busy = report.rows.iter().find(|row| row.name.contains("busy")).unwrap();
    assert!(busy.passed, "{}", report.to_text());
    assert!(!report.passed());
}

/// The demo fails, and says so in the words given.
async fn is_found(fault: Fault, words: &str) {
    let report = demo_with(fault).await;
    let text = report.to_text();
    assert!(!report.passed(), "{fault:?} was not found\n{text}");
    assert!(text.contains(words), "{fault:?} is not named\n{text}");
    assert!(report.cost.elapsed_ms < 30_000, "{:?}", report.cost);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_in_record_route_is_found() {
    is_found(Fault::AddressInRecordRoute, "is an IP address where an FQDN is wanted").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_sent_twice_are_found() {
    is_found(Fault::AnswersTwice, "after a final answer, over a reliable transport").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn record_routes_lost_in_answers_are_found() {
    is_found(Fault::DropsRecordRouteInAnswers, "is not at the end of those in the 2xx").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_route_of_teams_is_found() {
    is_found(Fault::DropsTeamsRoute, "Route is [] instead of").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_target_without_failover_is_found() {
    is_found(Fault::ForgetsFailover, "caller: no answer in time").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn max_forwards_that_stays_is_found() {
    is_found(Fault::KeepsMaxForwards, "it was not lowered on the way").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_via_that_stays_is_found() {
    is_found(Fault::KeepsVia, "its top Via has an unknown branch").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_bye_is_found() {
    is_found(Fault::LosesBye, "BYE was not answered in time").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_longer_than_it_says_is_found() {
    is_found(Fault::WrongLength, "bytes of body came").await;
}

/// An edge that listens nowhere.
struct DeafEdge(Result<(), String>);
struct Deaf;

impl EdgeUnderTest for DeafEdge {
    type Running = Deaf;

    async fn start(&self, _config_toml: String, _base_dir: &Path) -> Result<Deaf, String> {
        self.0.clone().map(|()| Deaf)
    }
}

impl RunningEdge for Deaf {
    async fn stop(self) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_does_nothing_fails_every_call_in_time() {
    let report = demo::run(&DemoOptions::default(), DeafEdge(Ok(()))).await.unwrap();
    let text = report.to_text();
    let last = report.rows.len() - 1;
    assert!(report.rows[..last].iter().all(|row| !row.passed && row.reason.is_some()), "{text}");
    assert!(report.cost.elapsed_ms < 30_000, "{:?}", report.cost);
}

#[tokio::test]
async fn an_edge_that_does_not_start_is_an_error_with_its_reason() {
    let error = demo::run(&DemoOptions::default(), DeafEdge(Err("line 3: no such trunk".into()))).await.unwrap_err();
    assert_eq!(error.to_string(), "the edge did not start: line 3: no such trunk");
}
