//! Tests of the door with a routing behind it and nothing else of the daemon.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;
use crate::routing::number::NumberingPlan;
use crate::routing::people::UserRecord;
use crate::routing::{
    Batch, Bounds, Ledger, Origin, Outcome, Parts, Plan, Record, Routing, Rules, Sites, Tenant, Tenants, compile,
};
use crate::trunk::TrunkKind;

pub(super) struct Stand(Mutex<(Routing, Ledger)>);

impl Stand {
    fn make(&self, outcome: impl FnOnce(&Routing, &Ledger) -> Result<Outcome, Refusal>) -> Result<Made, Refusal> {
        let mut inner = self.0.lock().unwrap();
        match outcome(&inner.0, &inner.1)? {
            Outcome::Known(record) => Ok(Made { record, known: true }),
            Outcome::Made(routing, record) => {
                inner.0 = *routing;
                inner.1.remember(record.clone());
                Ok(Made { record, known: false })
            }
        }
    }
}

impl Connections for Stand {
    fn connections(&self, wanted: &Wanted, limit: usize) -> Result<Vec<ConnectionShown>, Unknown> {
        if let Some(name) = wanted.trunk.as_ref().filter(|name| *name != "teams") {
            return Err(Unknown::Trunk(name.clone()));
        }
        let after = wanted.after.unwrap_or_default();
        Ok((after + 1..=5).map(|id| ConnectionShown { id, ..ConnectionShown::default() }).take(limit).collect())
    }

    fn close_connection(&self, id: u64) -> bool {
        id == 5
    }

    fn certificates(&self) -> Vec<CertificateShown> {
        let certificate = |(file, serial): (&str, &str)| CertificateShown {
            file: file.to_owned(),
            serial: serial.to_owned(),
            ..CertificateShown::default()
        };
        [("a.pem", "01"), ("a.pem", "02"), ("b.pem", "01")].map(certificate).into()
    }
}

impl Calls for Stand {
    fn calls(&self, filter: &CallFilter, after: &str, limit: usize) -> (Vec<CallShown>, Option<String>) {
        let call = |tenant: &str| CallShown { tenant: Some(tenant.to_owned()), ..CallShown::default() };
        let mut calls = vec![call("contoso"), call("fabrikam")];
        calls.retain(|call| {
            filter.tenants.as_ref().is_none_or(|tenants| tenants.contains(call.tenant.as_ref().unwrap()))
        });
        let next = (calls.len() > limit && after.is_empty()).then(|| "0.1.7".to_owned());
        calls.truncate(limit);
        (calls, next)
    }

    fn call(&self, id: crate::call::CallId) -> Option<CallShown> {
        let details = Some(CallDetails { tries: 2, ..CallDetails::default() });
        let tenant = Some("contoso".to_owned());
        (id.0 < 16).then(|| CallShown { id: id.to_string(), tenant, details, ..CallShown::default() })
    }

    fn hang_up(&self, id: crate::call::CallId) -> Result<CallShown, NotEnded> {
        if id.0 == 2 {
            return Err(NotEnded::Transparent(id));
        }
        self.call(id).ok_or(NotEnded::Unknown(id))
    }

    fn admission(&self) -> Vec<LimitShown> {
        let limit = |scope, name: &str| LimitShown { scope, name: name.to_owned(), ..LimitShown::default() };
        vec![limit("trunk", "pbx"), limit("tenant", "contoso"), limit("trunk", "carrier")]
    }
}

impl Directory for Stand {
    fn directory(&self, tenant: &str) -> Result<DirectoryStatus, DirectoryRefusal> {
        match tenant {
            "contoso" => Ok(DirectoryStatus { tenant: tenant.to_owned(), ..DirectoryStatus::default() }),
            _ => Err(DirectoryRefusal::None),
        }
    }

    fn test_directory(&self, _: &str) -> Result<DirectoryTest, DirectoryRefusal> {
        Err(DirectoryRefusal::Failed("no Graph".to_owned()))
    }

    fn preview_directory(&self, tenant: &str) -> Result<DirectoryRun, DirectoryRefusal> {
        Ok(DirectoryRun { tenant: tenant.to_owned(), result: "preview", ..DirectoryRun::default() })
    }

    fn sync_directory(&self, tenant: &str, force: bool) -> Result<DirectoryRun, DirectoryRefusal> {
        match force {
            true => Ok(DirectoryRun { tenant: tenant.to_owned(), result: "changed", ..DirectoryRun::default() }),
            false => Err(DirectoryRefusal::Stopped("3 of 4 users would be removed".to_owned())),
        }
    }
}

impl Guard for Stand {
    fn bans(&self) -> Vec<BanStatus> {
        let ban = |network: &str| BanStatus { network: network.to_owned(), ..BanStatus::default() };
        ["192.0.2.7/32", "198.51.100.0/24"].map(ban).into()
    }

    fn ban(&self, network: crate::trunk::Network, length: Option<Duration>, reason: &str) -> Result<BanStatus, String> {
        if network.bits == 0 {
            return Err("peers are never banned".to_owned());
        }
        let until = length.map(|length| length.as_secs().to_string());
        Ok(BanStatus { network: network.to_string(), until, reason: reason.to_owned(), ..BanStatus::default() })
    }

    fn unban(&self, network: crate::trunk::Network) -> Option<BanStatus> {
        self.bans().into_iter().find(|ban| ban.network == network.to_string())
    }

    fn overload(&self) -> OverloadStatus {
        OverloadStatus::default()
    }
}

impl History for Stand {
    fn history(&self, ask: &HistoryAsk) -> Result<HistoryPage, HistoryRefusal> {
        if ask.outcome.as_deref() == Some("off") {
            return Err(HistoryRefusal::Off);
        }
        let shown = json!({ "user": ask.user, "since": ask.since, "limit": ask.limit });
        Ok(HistoryPage { records: vec![shown], next: ask.after.clone() })
    }

    fn history_of(&self, call: crate::call::CallId) -> Result<Vec<Value>, HistoryRefusal> {
        Ok((call.0 == 1).then(|| json!({ "call": call.to_string() })).into_iter().collect())
    }
}

impl super::Presence for Stand {
    fn presence(&self, ask: &PresenceAsk) -> Result<PresencePage, PresenceRefusal> {
        let all = [("contoso", "anna"), ("contoso", "bob"), ("fabrikam", "anna")];
        let fits = |(tenant, user): &&(&str, &str)| {
            ask.tenants.as_ref().is_none_or(|tenants| tenants.iter().any(|own| **own == **tenant))
                && ask.user.as_ref().is_none_or(|wanted| wanted == user)
                && ask.only != Some(Only::Overruled)
        };
        let status = |(tenant, user): &(&str, &str)| PresenceStatus {
            tenant: (*tenant).to_owned(),
            user: (*user).to_owned(),
            ..PresenceStatus::default()
        };
        let users = all.iter().filter(fits).take(ask.limit).map(status).collect();
        Ok(PresencePage { users, next: ask.after.clone() })
    }

    fn presence_summary(&self, tenants: Option<Arc<[Arc<str>]>>) -> Result<PresenceSummary, PresenceRefusal> {
        let of = |name: &&str| tenants.as_ref().is_none_or(|tenants| tenants.iter().any(|own| **own == **name));
        let tenants = ["contoso", "fabrikam"].iter().filter(|name| of(name));
        let tenants = tenants.map(|name| ((*name).to_owned(), TenantSummary { users: 2, ..TenantSummary::default() }));
        Ok(PresenceSummary { tenants: tenants.collect() })
    }

    fn line_states(&self, tenant: &str, states: Vec<LineState>) -> Result<Vec<Result<(), String>>, PresenceRefusal> {
        if tenant != "contoso" {
            return Err(PresenceRefusal::Off(tenant.to_owned()));
        }
        let known = |state: &LineState| match &state.whose {
            Whose::User(user) if user == "anna" => Ok(()),
            whose => Err(format!("nobody knows {whose:?}")),
        };
        Ok(states.iter().map(known).collect())
    }
}

impl Logs for Stand {
    fn log(&self) -> Result<LogStatus, LogRefusal> {
        Ok(LogStatus { filter: "info".to_owned(), ..LogStatus::default() })
    }

    fn set_log(&self, change: &LogChange) -> Result<LogStatus, LogRefusal> {
        let filter = change.filter.clone().ok_or(LogRefusal::NotOurs)?;
        Ok(LogStatus { filter, ..LogStatus::default() })
    }
}

impl Health for Stand {
    fn health(&self) -> Report {
        Report { health: Level::Warning, causes: vec![cause()], more: 0 }
    }

    fn alarms(&self) -> Vec<Alarm> {
        let alarm =
            |id: u64| Alarm { id, cause: cause(), since: id * 1_000, until: id.is_multiple_of(2).then_some(9_000) };
        [3, 1, 4, 2, 5].map(alarm).into()
    }
}

fn cause() -> Cause {
    Cause {
        severity: Severity::Warning,
        name: "target-down",
        source: "pbx1".to_owned(),
        text: "it is down".to_owned(),
        advice: "look at it".to_owned(),
    }
}

impl Trace for Stand {
    fn traces(&self, query: &TraceQuery) -> Result<TracePage, NoTrace> {
        let call = |number: u64| TraceSummary { call: format!("{number:016x}"), ..TraceSummary::default() };
        let traces = (0..query.limit.unwrap_or(3) as u64).map(call).collect();
        Ok(TracePage { traces, next: query.number.clone() })
    }

    fn trace(&self, call: &str, look: TraceLook) -> Result<TraceShown, NoTrace> {
        match call {
            "off" => Err(NoTrace::Off),
            "call@pbx" => Ok(TraceShown { call: "1".to_owned(), redacted: !look.unredacted, ..TraceShown::default() }),
            _ => Err(NoTrace::Unknown(call.to_owned())),
        }
    }

    fn trace_capture(&self, call: &str, look: TraceLook) -> Result<Vec<u8>, NoTrace> {
        self.trace(call, look).map(|shown| vec![u8::from(shown.redacted); 3])
    }

    fn follow(&self, whom: &str, _: TraceLook) -> Result<tokio::sync::mpsc::Receiver<bytes::Bytes>, NoTrace> {
        if whom != "all" {
            return Err(NoTrace::BadNumber(whom.to_owned()));
        }
        let (lines, receiver) = tokio::sync::mpsc::channel(4);
        for line in ["{\"one\":1}\n", "{\"two\":2}\n"] {
            lines.try_send(bytes::Bytes::from_static(line.as_bytes())).unwrap();
        }
        Ok(receiver)
    }
}

impl Reloading for Stand {
    fn reload(&self, dry_run: bool, by: &str) -> Result<ReloadReport, NotReloaded> {
        assert!(by.starts_with("uid "), "{by}");
        if !dry_run {
            let fault = FileFault { severity: "error", line: Some(3), column: Some(1), ..FileFault::default() };
            let (detail, rendered) = ("nothing was changed".to_owned(), "error: at line 3".to_owned());
            return Err(NotReloaded { error: "bad_configuration", detail, faults: vec![fault], rendered });
        }
        Ok(ReloadReport { dry_run, changed: true, ..ReloadReport::default() })
    }

    fn last_reload(&self) -> Option<LastReload> {
        None
    }
}

impl Service for Stand {
    fn life(&self) -> Life {
        Life { calls: 3, ..Life::default() }
    }

    fn drain(&self) -> Life {
        Life { state: LifeState::Draining, ..self.life() }
    }

    fn undrain(&self) -> Result<Life, Stopping> {
        Err(Stopping)
    }
}

impl Control for Stand {
    fn status(&self) -> Status {
        Status { node: "edge-1".to_owned(), ..Status::default() }
    }

    fn trunks(&self) -> Vec<TrunkStatus> {
        let trunk = |name: &str| TrunkStatus {
            name: name.to_owned(),
            kind: "pbx",
            options_received: 0,
            options_received_s: None,
            targets: Vec::new(),
        };
        ["pbx2", "carrier", "pbx1"].map(trunk).into()
    }

    fn routing(&self) -> Routing {
        self.0.lock().unwrap().0.clone()
    }

    fn apply(&self, batch: &Batch) -> Result<Made, Refusal> {
        if batch.id == "disk" {
            return Err(Refusal::Store("no space".to_owned()));
        }
        self.make(|routing, ledger| Ok(routing.apply(ledger, batch)?))
    }

    fn revert(&self, id: &str, by: &Batch) -> Result<Made, Refusal> {
        self.make(|routing, ledger| Ok(routing.revert(ledger, id, by)?))
    }

    fn changes(&self, limit: usize, seen: &dyn Fn(&Record) -> bool) -> Vec<Summary> {
        self.0.lock().unwrap().1.records().rev().filter(|record| seen(record)).take(limit).map(Summary::of).collect()
    }

    fn change(&self, id: &str) -> Option<Record> {
        self.0.lock().unwrap().1.get(id).cloned()
    }

    fn keys(&self) -> Result<KeyList, KeyRefusal> {
        let key = |id: &str, current| KeyStatus { id: id.to_owned(), in_use: true, current, ..KeyStatus::default() };
        Ok(KeyList { keys: vec![key("3f", true), key("a0", false)] })
    }

    fn rotate_keys(&self, force: bool) -> Result<KeyList, KeyRefusal> {
        if force { self.keys() } else { Err(KeyRefusal::TooSoon("calls may need a key".to_owned())) }
    }

    fn reload_keys(&self) -> Result<KeyList, KeyRefusal> {
        Err(KeyRefusal::NoFile)
    }

    fn route(&self, ask: Value) -> Result<Value, String> {
        match ask.get("from_trunk") {
            Some(_) => Ok(json!({ "decision": "forward" })),
            None => Err("no trunk".to_owned()),
        }
    }
}

pub(super) fn stand() -> Arc<Stand> {
    let mut rules = Rules::new(1000);
    for number in 0..250_u32 {
        rules.add(&format!("{number:03}"), "carrier", number).unwrap();
    }
    let plan = Plan::new("main plan".into(), rules, |_| None).0;
    let tenant = |id: &str| {
        let mut numbering = NumberingPlan::new(None);
        numbering.add_extensions("1000-9999".parse().unwrap());
        let tenant = Tenant::new(id, numbering);
        let user = |number: u32| UserRecord {
            id: format!("u{number}"),
            extension: Some(number.to_string()),
            ..UserRecord::default()
        };
        let users = (1000..1150).map(|number| compile(user(number), &tenant, &Sites::default()).unwrap()).collect();
        tenant.with_users(users)
    };
    let tenants = Tenants::new(vec![tenant("bee"), tenant("acme")]);
    let origins = vec![Origin::new("carrier", TrunkKind::Carrier, "edge.example")];
    let routing = Routing::new(Parts { plans: vec![plan], origins, tenants, ..Parts::default() }).unwrap().0;
    let ledger = Ledger::new(Bounds { records: 100, rules: 260, users: 1000 });
    Arc::new(Stand(Mutex::new((routing, ledger))))
}

pub(super) fn settings() -> Settings {
    Settings {
        max_connections: 64,
        max_body_bytes: 32 << 20,
        max_bytes_of_all_bodies: 64 << 20,
        head_timeout: Duration::from_secs(10),
        body_timeout: Duration::from_secs(60),
        connection_time: Duration::from_secs(900),
    }
}

struct Open {
    runtime: tokio::runtime::Runtime,
    directory: tempfile::TempDir,
    socket: PathBuf,
}

impl Open {
    fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("control.sock");
        let mut settings = settings();
        change(&mut settings);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let server = {
            let _inside = runtime.enter();
            Server::bind(&socket, settings).unwrap()
        };
        runtime.spawn(server.serve(stand()));
        Self { runtime, directory, socket }
    }

    fn new() -> Self {
        Self::with(|_| ())
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Sends a request as it stands and reads until the other end closes.
    fn raw(&self, text: &str) -> String {
        let mut stream = self.connect();
        // The other end may close before it has read all.
        let _ = stream.write_all(text.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let length = body.len();
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
        let answer = self.raw(&(head + body));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    fn get(&self, path: &str) -> Value {
        let (status, value) = self.ask("GET", path, "");
        assert_eq!(status, 200, "{path}: {value}");
        value
    }
}

fn put(id: &str, prefix: &str, tag: &str) -> String {
    json!({ "id": id, "edits": [{ "put": { "plan": "main plan", "prefix": prefix, "tag": tag } }] }).to_string()
}

#[test]
fn lists_come_in_pages_that_lose_and_repeat_nothing() {
    let open = Open::new();
    for (path, key, name, count) in [
        ("/v1/dialplans/main%20plan/rules?limit=40", "rules", "prefix", 250),
        ("/v1/tenants/acme/users?limit=40", "users", "id", 150),
        ("/v1/tenants?limit=1", "tenants", "id", 2),
        ("/v1/trunks?limit=2", "trunks", "name", 3),
    ] {
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let page = open.get(&format!("{path}{after}"));
            let entries = page[key].as_array().unwrap();
            assert!(entries.len() <= 40);
            seen.extend(entries.iter().map(|entry| entry[name].as_str().unwrap().to_owned()));
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={}", next.replace('\t', "%09"));
        }
        assert_eq!(seen.len(), count, "{key}");
        assert!(seen.is_sorted_by(|a, b| a < b), "{key}");
    }
    let page = open.get("/v1/dialplans/main%20plan/rules?prefix=24&tag=carrier&owner=");
    assert_eq!((page["rules"].as_array().unwrap().len(), &page["next"]), (10, &Value::Null));
    assert_eq!(open.get("/v1/dialplans/main%20plan/rules?owner=me")["rules"], json!([]));
    assert_eq!(open.get("/v1/dialplans/main%20plan/find?number=1234")["prefix"], "123");
    assert_eq!(open.get("/v1/status")["node"], "edge-1");
}

#[test]
fn change_is_made_once_told_and_taken_back() {
    let open = Open::new();
    let (status, made) = open.ask("POST", "/v1/changes", &put("1", "900", "carrier"));
    assert_eq!((status, &made["revision"]), (201, &json!(1)));
    assert!(made["who"].as_str().unwrap().starts_with("uid "), "{made}");
    assert!(made["when"].as_u64().unwrap() > 1_600_000_000_000, "{made}");
    let (status, again) = open.ask("POST", "/v1/changes", &put("1", "901", "carrier"));
    assert_eq!((status, &again), (200, &made));
    assert_eq!(open.get("/v1/changes/1"), made);
    assert_eq!(open.get("/v1/dialplans/main%20plan/find?number=900")["change"], "1");
    let by = json!({ "id": "2", "who": "anna", "when": 5 }).to_string();
    let (status, back) = open.ask("POST", "/v1/changes/1/revert", &by);
    assert_eq!((status, &back["reverts"]), (201, &json!("1")));
    let who = back["who"].as_str().unwrap();
    assert!(
        who.starts_with("anna (uid ") && back["when"] != 5,
        "who says a name is known by the uid all the same: {back}"
    );
    let list = open.get("/v1/changes?limit=1");
    assert_eq!((list.as_array().unwrap().len(), &list[0]["id"], &list[0]["rules"]), (1, &json!("2"), &json!(1)));
    let (status, answer) = open.ask("POST", "/v1/route", r#"{"from_trunk":"carrier"}"#);
    assert_eq!((status, &answer["decision"]), (200, &json!("forward")));
}

#[test]
fn connections_and_certificates_come_in_pages() {
    let open = Open::new();
    let ids =
        |page: &Value| page["connections"].as_array().unwrap().iter().map(|it| it["id"].clone()).collect::<Vec<_>>();
    let first = open.get("/v1/connections?limit=2&trunk=teams&retired=false");
    assert_eq!((ids(&first), &first["next"]), (vec![json!(1), json!(2)], &json!("2")));
    let last = open.get("/v1/connections?limit=3&after=2");
    assert_eq!((ids(&last), &last["next"]), (vec![json!(3), json!(4), json!(5)], &Value::Null));
    let (status, closed) = open.ask("POST", "/v1/connections/5/close", "");
    assert_eq!((status, closed), (200, json!({ "id": 5 })));

    let shown = |page: &Value| {
        let list = page["certificates"].as_array().unwrap().iter();
        list.map(|it| format!("{} {}", it["file"].as_str().unwrap(), it["serial"].as_str().unwrap()))
            .collect::<Vec<_>>()
    };
    let first = open.get("/v1/certificates?limit=1");
    assert_eq!((shown(&first), &first["next"]), (vec!["a.pem 01".to_owned()], &json!("a.pem\t01")));
    let rest = open.get("/v1/certificates?after=a.pem%0901");
    assert_eq!((shown(&rest), &rest["next"]), (vec!["a.pem 02".to_owned(), "b.pem 01".to_owned()], &Value::Null));
}

#[test]
fn what_is_wrong_has_a_code_a_word_and_a_sentence() {
    let open = Open::new();
    let edit = |edit: Value| json!({ "id": "x", "edits": [edit] }).to_string();
    let lives = edit(json!({ "set_lives": { "tenant": "acme", "user": "nobody", "lives": "pbx" } }));
    let gone = edit(json!({ "remove": { "plan": "main plan", "prefix": "999" } }));
    let many: Vec<Value> = (300..320)
        .map(|prefix| json!({ "put": { "plan": "main plan", "prefix": prefix.to_string(), "tag": "carrier" } }))
        .collect();
    for (method, path, body, status, error) in [
        ("GET", "/v1/nothing", String::new(), 404, "unknown_endpoint"),
        ("DELETE", "/v1/changes", String::new(), 405, "bad_method"),
        ("GET", "/v1/dialplans/none/rules", String::new(), 404, "unknown_plan"),
        ("GET", "/v1/dialplans/main%20plan/rules?limt=1", String::new(), 400, "bad_query"),
        ("GET", "/v1/dialplans/main%20plan/rules?after=x", String::new(), 400, "bad_query"),
        ("GET", "/v1/dialplans/main%20plan/find?number=777", String::new(), 404, "no_rule"),
        ("GET", "/v1/tenants/none/users", String::new(), 404, "unknown_tenant"),
        ("GET", "/v1/changes/none", String::new(), 404, "unknown_change"),
        ("GET", "/v1/connections?trunk=nobody", String::new(), 404, "unknown_trunk"),
        ("GET", "/v1/connections?after=x", String::new(), 400, "bad_query"),
        ("POST", "/v1/connections/4/close", String::new(), 404, "unknown_connection"),
        ("POST", "/v1/connections/x/close", String::new(), 400, "bad_path"),
        ("POST", "/v1/changes/none/revert", json!({ "id": "r" }).to_string(), 404, "unknown_change"),
        ("POST", "/v1/changes", "{".to_owned(), 400, "bad_json"),
        ("POST", "/v1/changes", "{}".to_owned(), 400, "bad_json"),
        ("POST", "/v1/changes", r#"["x", "me", 0, []]"#.to_owned(), 400, "bad_json"),
        ("POST", "/v1/changes", put("", "1", "carrier"), 400, "bad_id"),
        ("POST", "/v1/changes", put(&"i".repeat(300), "1", "carrier"), 400, "bad_id"),
        ("POST", "/v1/changes", put("x", "1[", "carrier"), 400, "bad_prefix"),
        ("POST", "/v1/changes", put("x", "1", "nowhere"), 400, "unknown_tag"),
        ("POST", "/v1/changes", lives, 404, "unknown_user"),
        ("POST", "/v1/changes", gone, 404, "unknown_rule"),
        ("POST", "/v1/changes", json!({ "id": "x", "edits": many }).to_string(), 507, "too_many_rules"),
        ("POST", "/v1/changes", put("disk", "1", "carrier"), 507, "not_kept"),
        ("POST", "/v1/route", "{}".to_owned(), 400, "bad_question"),
    ] {
        let (found, answer) = open.ask(method, path, &body);
        assert_eq!((found, &answer["error"]), (status, &json!(error)), "{method} {path} {body}: {answer}");
        assert!(!answer["detail"].as_str().unwrap().is_empty());
    }
    let (status, first) = open.ask("POST", "/v1/changes", &put("a", "900", "carrier"));
    assert_eq!(status, 201, "{first}");
    let removed = json!({ "id": "b", "edits": [{ "remove": { "plan": "main plan", "prefix": "900" } }] });
    open.ask("POST", "/v1/changes", &removed.to_string());
    let (status, answer) = open.ask("POST", "/v1/changes/a/revert", &json!({ "id": "c" }).to_string());
    assert_eq!((status, &answer["error"]), (409, &json!("changed_since")));
}

#[test]
fn bodies_are_bounded_by_bytes_and_time() {
    let open = Open::with(|settings| {
        settings.max_body_bytes = 2_000;
        settings.max_bytes_of_all_bodies = 2_000;
        settings.body_timeout = Duration::from_millis(300);
    });
    let (status, answer) = open.ask("POST", "/v1/changes", &put("x", &"1".repeat(2_100), "carrier"));
    assert_eq!((status, &answer["error"]), (413, &json!("too_large")));
    let chunk = format!("{:x}\r\n{}\r\n", 1_500, "x".repeat(1_500));
    let head = "POST /v1/changes HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = open.raw(&format!("{head}{chunk}{chunk}0\r\n\r\n"));
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    // One who does not go on keeps nobody else from being served for long.
    let mut slow = open.connect();
    slow.write_all(b"POST /v1/changes HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1900\r\n\r\n{")
        .unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let (status, answer) = open.ask("POST", "/v1/changes", &put("x", "900", "carrier"));
    assert!(matches!(status, 201 | 408), "{answer}");
    let mut answer = String::new();
    let _ = slow.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    let (status, answer) = open.ask("POST", "/v1/changes", &put("y", "901", "carrier"));
    assert_eq!(status, 201, "the room is given back: {answer}");
}

#[test]
fn connections_are_bounded_by_number_and_time() {
    let open = Open::with(|settings| {
        settings.max_connections = 2;
        settings.head_timeout = Duration::from_millis(500);
    });
    let mut idle = [open.connect(), open.connect()];
    // The two have been taken when a third is closed without an answer.
    let begin = Instant::now();
    let deadline = begin + Duration::from_secs(10);
    while open.ask("GET", "/v1/status", "").0 == 200 {
        assert!(Instant::now() < deadline, "a third connection is always served");
    }
    for stream in &mut idle {
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
    }
    assert!(begin.elapsed() < Duration::from_secs(10), "silent connections are closed");
    let deadline = Instant::now() + Duration::from_secs(10);
    while open.ask("GET", "/v1/status", "").0 != 200 {
        assert!(Instant::now() < deadline, "there is room again");
    }
}

#[test]
fn socket_is_for_owner_and_group_and_replaced_only_when_nobody_listens() {
    let open = Open::new();
    let path = open.socket.clone();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let bind = || {
        let _inside = open.runtime.enter();
        Server::bind(&path, settings())
    };
    assert!(matches!(bind(), Err(BindError::Taken { .. })));
    assert_eq!(open.ask("GET", "/v1/status", "").0, 200, "the one who listens is not disturbed");
    let file = open.directory.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    let error = {
        let _inside = open.runtime.enter();
        Server::bind(&file, settings()).unwrap_err()
    };
    assert!(matches!(error, BindError::NoSocket { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    // As a process leaves it that was killed.
    let stale = open.directory.path().join("stale");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    assert!(stale.exists());
    let server = {
        let _inside = open.runtime.enter();
        Server::bind(&stale, settings()).unwrap()
    };
    drop(server);
    assert!(!stale.exists(), "the name goes with the server");
    assert_eq!(std::fs::read_dir(open.directory.path()).unwrap().count(), 2, "nothing else is left");
}

#[test]
fn many_clients_change_at_once_and_each_change_is_made_once() {
    let open = Open::new();
    std::thread::scope(|scope| {
        for client in 0..8 {
            let open = &open;
            scope.spawn(move || {
                for number in 0..10 {
                    // Two clients share each id.
                    let id = format!("{}-{number}", client / 2);
                    let user = format!("u{}", 1000 + client / 2 * 10 + number);
                    let edit = json!({ "set_lives": { "tenant": "acme", "user": user, "lives": "pbx" } });
                    let body = json!({ "id": id, "edits": [edit] }).to_string();
                    let (status, answer) = open.ask("POST", "/v1/changes", &body);
                    assert!(matches!(status, 200 | 201), "{status} {answer}");
                }
            });
        }
    });
    let changes = open.get("/v1/changes?limit=1000");
    assert_eq!(changes.as_array().unwrap().len(), 40);
    let revisions: Vec<u64> = changes.as_array().unwrap().iter().map(|it| it["revision"].as_u64().unwrap()).collect();
    assert_eq!(revisions, (1..=40).rev().collect::<Vec<_>>());
    let users = open.get("/v1/tenants/acme/users?limit=1000");
    let moved = users["users"].as_array().unwrap().iter().filter(|user| user["lives"] == "pbx").count();
    assert_eq!(moved, 40);
}

#[test]
fn keys_are_listed_and_rotated_by_their_ids() {
    let door = Open::new();
    let (status, list) = door.ask("GET", "/v1/keys", "");
    assert_eq!((status, &list["keys"][0]["id"], &list["keys"][1]["current"]), (200, &json!("3f"), &json!(false)));
    let (status, fault) = door.ask("POST", "/v1/keys/rotate", "{}");
    assert_eq!((status, &fault["error"]), (409, &json!("too_soon")));
    assert_eq!(door.ask("POST", "/v1/keys/rotate", r#"{"force":true}"#), (200, list));
    assert_eq!(door.ask("POST", "/v1/keys/rotate", r#"{"farce":true}"#).0, 400);
    let (status, fault) = door.ask("POST", "/v1/keys/reload", "{}");
    assert_eq!((status, &fault["error"]), (404, &json!("no_key_file")));
}

#[test]
fn traces_are_listed_shown_and_followed() {
    let door = Open::new();
    let page = door.get("/v1/traces?limit=2&number=%2B44");
    assert_eq!((page["traces"].as_array().unwrap().len(), &page["next"]), (2, &json!("+44")));
    assert_eq!(door.get("/v1/traces/call@pbx")["redacted"], json!(true));
    assert_eq!(door.get("/v1/traces/call%40pbx?unredacted=true")["redacted"], json!(false));
    for (path, status, error) in [
        ("/v1/traces/none", 404, "unknown_trace"),
        ("/v1/traces/off", 409, "trace_off"),
        ("/v1/traces?wrong=1", 400, "bad_query"),
        ("/v1/traces/call@pbx?format=xml", 400, "bad_query"),
        ("/v1/traces/follow?number=x", 400, "bad_number"),
        ("/v1/traces/follow", 400, "bad_query"),
    ] {
        let (found, fault) = door.ask("GET", path, "");
        assert_eq!((found, &fault["error"]), (status, &json!(error)), "{path}");
    }
    let raw = |path: &str| {
        let mut stream = door.connect();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    };
    let capture = raw("/v1/traces/call@pbx?format=pcap");
    assert!(capture.contains("application/x-pcapng") && capture.ends_with("\u{1}\u{1}\u{1}"), "{capture:?}");
    let followed = raw("/v1/traces/follow?number=all");
    assert!(followed.contains("{\"one\":1}\n") && followed.contains("{\"two\":2}\n"), "{followed}");
}

#[test]
fn history_is_asked_and_a_call_found() {
    let door = Open::new();
    let (status, page) = door.ask("GET", "/v1/history?user=anna&since=1970-01-02&limit=7&after=9", "");
    assert_eq!((status, &page["records"][0]["user"], &page["next"]), (200, &json!("anna"), &json!("9")));
    assert_eq!((&page["records"][0]["since"], &page["records"][0]["limit"]), (&json!(86_400_000), &json!(7)));
    let (status, page) = door.ask("GET", "/v1/history/0000000000000001", "");
    assert_eq!((status, &page["records"][0]["call"]), (200, &json!("0000000000000001")));
    for (path, status, error) in [
        ("/v1/history?since=yesterday", 400, "bad_query"),
        ("/v1/history?who=anna", 400, "bad_query"),
        ("/v1/history?outcome=off", 404, "no_history"),
        ("/v1/history/1", 400, "bad_call"),
        ("/v1/history/0000000000000002", 404, "unknown_call"),
    ] {
        let (found, fault) = door.ask("GET", path, "");
        assert_eq!((found, &fault["error"]), (status, &json!(error)), "{path}");
    }
}

#[test]
fn log_is_shown_and_changed() {
    let door = Open::new();
    assert_eq!(door.ask("GET", "/v1/log", "").1["filter"], "info");
    assert_eq!(door.ask("PUT", "/v1/log", r#"{"filter":"debug","for_s":60}"#).1["filter"], "debug");
    assert_eq!(door.ask("PUT", "/v1/log", "{}").1["error"], "no_log");
    assert_eq!(door.ask("PUT", "/v1/log", r#"{"level":"debug"}"#).0, 400);
}

#[test]
fn calls_are_listed_shown_and_ended() {
    let door = Open::new();
    let page = door.get("/v1/calls?limit=1&state=up&trunk=pbx&number=20");
    assert_eq!((page["calls"].as_array().unwrap().len(), &page["next"]), (1, &json!("0.1.7")));
    assert_eq!(door.get("/v1/calls?tenant=fabrikam")["calls"][0]["tenant"], "fabrikam");
    assert_eq!(door.get("/v1/calls?after=0.1.7")["next"], Value::Null);
    assert_eq!(door.get("/v1/calls/0000000000000001")["tries"], 2);
    assert_eq!(door.ask("POST", "/v1/calls/0000000000000001/hangup", "").0, 200);
    assert_eq!(door.get("/v1/admission?scope=trunk&limit=1")["next"], "trunk carrier");
    assert_eq!(door.get("/v1/admission?after=trunk%20carrier")["limits"][0]["name"], "pbx");
    for (method, path, status, error) in [
        ("GET", "/v1/calls?state=gone", 400, "bad_query"),
        ("GET", "/v1/calls?after=x", 400, "bad_query"),
        ("GET", "/v1/calls/1", 400, "bad_id"),
        ("GET", "/v1/calls/00000000000000ff", 404, "unknown_call"),
        ("POST", "/v1/calls/0000000000000002/hangup", 409, "transparent_call"),
    ] {
        let (found, fault) = door.ask(method, path, "");
        assert_eq!((found, &fault["error"]), (status, &json!(error)), "{path}");
    }
}

#[test]
fn users_of_the_bridge_are_listed_and_shown() {
    let door = Open::new();
    let names = |path: &str| {
        let page = door.get(path);
        let users = page["users"].as_array().unwrap().iter();
        users
            .map(|it| format!("{}/{}", it["tenant"].as_str().unwrap(), it["user"].as_str().unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(names("/v1/presence"), ["contoso/anna", "contoso/bob", "fabrikam/anna"]);
    assert_eq!(names("/v1/presence?tenant=contoso&limit=1"), ["contoso/anna"]);
    assert_eq!(names("/v1/presence?user=anna"), ["contoso/anna", "fabrikam/anna"]);
    assert!(names("/v1/presence?only=overruled").is_empty());
    assert_eq!(door.get("/v1/presence?after=7")["next"], "7");
    assert_eq!(door.get("/v1/presence/fabrikam/anna")["tenant"], "fabrikam");
    assert_eq!(door.get("/v1/presence/summary")["tenants"]["contoso"]["users"], 2);
    for (path, status, error) in [
        ("/v1/presence?only=gone", 400, "bad_query"),
        ("/v1/presence?limit=0", 400, "bad_query"),
        ("/v1/presence/fabrikam/bob", 404, "unknown_user"),
    ] {
        let (found, fault) = door.ask("GET", path, "");
        assert_eq!((found, &fault["error"]), (status, &json!(error)), "{path}");
    }
}

#[test]
fn line_states_are_taken_one_by_one_and_what_is_wrong_is_told() {
    let door = Open::new();
    let tell = |tenant: &str, body: &str| door.ask("POST", &format!("/v1/tenants/{tenant}/line-state"), body);
    let (anna, bob) = (r#"{"user":"anna","state":"busy"}"#, r#"{"user":"bob","state":"busy"}"#);
    assert_eq!(tell("contoso", anna), (200, json!({ "taken": 1, "faults": [] })));
    assert_eq!(tell("contoso", "[]"), (200, json!({ "taken": 0, "faults": [] })));
    let (status, answer) = tell("contoso", &format!("{anna}\n{bob}\n{{\n{anna}\n"));
    assert_eq!((status, &answer["taken"], &answer["error"]), (200, &json!(2), &Value::Null));
    let entries: Vec<&Value> = answer["faults"].as_array().unwrap().iter().map(|fault| &fault["entry"]).collect();
    assert_eq!(entries, [2, 3]);
    let (status, answer) = tell("contoso", &format!("[{bob}]"));
    assert_eq!((status, &answer["error"], &answer["taken"]), (400, &json!("nothing_taken"), &json!(0)));
    assert!(answer["detail"].as_str().unwrap().starts_with("entry 1: nobody knows"), "{answer}");
    for (tenant, body, status, error) in
        [("contoso", "", 400, "bad_json"), ("contoso", "busy", 400, "bad_json"), ("fabrikam", anna, 404, "no_presence")]
    {
        let (found, fault) = tell(tenant, body);
        assert_eq!((found, &fault["error"]), (status, &json!(error)), "{tenant} {body}");
    }
}
