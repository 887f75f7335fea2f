//! Tests of the door by TCP: tokens, scopes and tenants on every endpoint. TLS is that of whoever opens it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream as Plain};

use serde_json::{Value, json};

use super::super::access::{Declared, Need};
use super::super::tests::{settings, stand};
use super::super::{Scope, Token};
use super::*;

/// No TLS: the other end of the wire is this test.
struct Bare;

impl Handshake for Bare {
    fn shake(&self, stream: TcpStream) -> Shaking {
        Box::pin(async move {
            let stream: Box<dyn Stream> = Box::new(stream);
            Ok(stream)
        })
    }
}

/// Scopes, each with the tenants of a token and its secret.
const SCOPES: [Scope; 4] = [Scope::Presence, Scope::Read, Scope::Change, Scope::Admin];

fn secret(scope: Scope, tenant: &str) -> String {
    format!("{:0>32}", format!("{}-{tenant}", scope.word()))
}

struct Door {
    runtime: tokio::runtime::Runtime,
    addr: SocketAddr,
    access: Arc<ArcSwap<Access>>,
}

impl Door {
    fn open(change: impl FnOnce(&mut HttpSettings)) -> Self {
        let mut tokens = Vec::new();
        for scope in SCOPES {
            for tenant in ["", "acme", "bee"] {
                let tenants: Option<Arc<[Arc<str>]>> = (!tenant.is_empty()).then(|| [Arc::from(tenant)].into());
                let name = format!("{}-{tenant}", scope.word());
                tokens.push(Token::new(name.into(), &secret(scope, tenant), scope, tenants).unwrap());
            }
        }
        let access = Access { allow_from: Vec::new(), tokens: Tokens(tokens) };
        let access = Arc::new(ArcSwap::from_pointee(access));
        let mut http = HttpSettings {
            bind: "127.0.0.1:0".parse().unwrap(),
            max_connections_per_address: 16,
            max_refused_addresses: 16,
        };
        change(&mut http);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let server = {
            let _inside = runtime.enter();
            HttpServer::bind(settings(), &http, Arc::clone(&access), Arc::new(Bare)).unwrap()
        };
        let addr = server.addr().unwrap();
        runtime.spawn(server.serve(stand()));
        Self { runtime, addr, access }
    }

    fn connect(&self) -> Plain {
        let stream = Plain::connect(self.addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Asks with these header lines; gives status, head and body.
    fn ask_with(&self, lines: &str, method: &str, path: &str, body: &str) -> (u16, String, Value) {
        let mut stream = self.connect();
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n");
        stream.write_all(format!("{head}{lines}\r\n{body}").as_bytes()).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        (status, head.to_owned(), serde_json::from_str(body).unwrap_or(Value::Null))
    }

    fn ask(&self, scope: Scope, tenant: &str, method: &str, path: &str, body: &str) -> (u16, Value) {
        let line = format!("Authorization: Bearer {}\r\n", secret(scope, tenant));
        let (status, _, body) = self.ask_with(&line, method, path, body);
        (status, body)
    }

    /// The status alone, of an answer that may have no end.
    fn status(&self, scope: Scope, tenant: &str, endpoint: &Declared) -> u16 {
        let path = endpoint.path.replace("{plan}", "main%20plan").replace("{tenant}", "acme");
        let path = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect::<Vec<_>>();
        let mut stream = self.connect();
        let token = secret(scope, tenant);
        let (method, path) = (&endpoint.method, path.join("/"));
        let head = "Host: x\r\nConnection: close\r\nContent-Length: 1\r\n";
        // No body of one letter is good for anything: nothing is done.
        let text = format!("{method} {path} HTTP/1.1\r\n{head}Authorization: Bearer {token}\r\n\r\n?");
        stream.write_all(text.as_bytes()).unwrap();
        let mut begin = [0; 12];
        stream.read_exact(&mut begin).unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let _ = stream.shutdown(Shutdown::Both);
        String::from_utf8_lossy(&begin).split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
    }
}

#[test]
fn every_endpoint_lets_in_whom_it_says_and_nobody_else() {
    let door = Door::open(|_| ());
    let (_, declared) = routes::all().into_parts();
    assert!(declared.len() >= 20);
    for endpoint in &declared {
        let Need { scope: wanted, in_tenants } = endpoint.need;
        for scope in SCOPES {
            for tenant in ["", "acme"] {
                let status = door.status(scope, tenant, endpoint);
                let welcome = scope.covers(wanted) && (in_tenants || tenant.is_empty());
                let what = format!("{} {} by {} of {tenant:?}", endpoint.method, endpoint.path, scope.word());
                assert_ne!(status, 401, "{what}");
                assert_eq!(status != 403, welcome, "{what}: {status}");
            }
        }
    }
}

#[test]
fn token_for_a_tenant_sees_that_tenant_and_no_other() {
    let door = Door::open(|_| ());
    let get = |tenant: &str, path: &str| door.ask(Scope::Read, tenant, "GET", path, "");
    for (tenant, seen) in [("", json!(["acme", "bee"])), ("acme", json!(["acme"])), ("bee", json!(["bee"]))] {
        let (status, page) = get(tenant, "/v1/tenants");
        let ids: Vec<&Value> = page["tenants"].as_array().unwrap().iter().map(|it| &it["id"]).collect();
        assert_eq!((status, json!(ids)), (200, seen), "{tenant}");
    }
    assert_eq!(get("acme", "/v1/tenants/acme/users").0, 200);
    for path in ["/v1/tenants/bee/users", "/v1/tenants/nobody/users"] {
        let (status, answer) = get("acme", path);
        assert_eq!((status, &answer["error"]), (403, &json!("not_yours")), "{path}: it is not told who is there");
    }
    let (status, answer) = get("acme", "/v1/trunks");
    assert_eq!((status, &answer["error"]), (403, &json!("not_yours")));
    assert_eq!(get("acme", "/v1/dialplans/main%20plan/rules").1["rules"], json!([]), "none of them are theirs");
    assert_eq!(get("acme", "/v1/dialplans/main%20plan/find?number=123").0, 404);
}

#[test]
fn token_for_line_states_tells_those_of_its_tenant_and_sees_nothing() {
    let door = Door::open(|_| ());
    let tell = |tenant: &str, of: &str| {
        let body = r#"{"user":"anna","state":"busy"}"#;
        door.ask(Scope::Presence, tenant, "POST", &format!("/v1/tenants/{of}/line-state"), body)
    };
    assert_eq!(tell("", "contoso"), (200, json!({ "taken": 1, "faults": [] })));
    assert_eq!(tell("acme", "contoso").1["error"], "not_yours");
    assert_eq!(tell("acme", "acme").1["error"], "no_presence", "its own tenant takes no part");
    for path in ["/v1/status", "/v1/presence", "/v1/tenants"] {
        let (status, answer) = door.ask(Scope::Presence, "", "GET", path, "");
        assert_eq!((status, &answer["error"]), (403, &json!("scope")), "{path}");
    }
    let (status, page) = door.ask(Scope::Read, "acme", "GET", "/v1/presence", "");
    assert_eq!((status, &page["users"]), (200, &json!([])), "others' users are not shown");
    assert_eq!(door.ask(Scope::Read, "acme", "GET", "/v1/presence?tenant=contoso", "").0, 403);
    assert_eq!(door.ask(Scope::Read, "acme", "GET", "/v1/presence/contoso/anna", "").0, 403);
    assert_eq!(door.ask(Scope::Read, "acme", "GET", "/v1/presence/summary", "").1["tenants"], json!({}));
}

#[test]
fn token_for_a_tenant_changes_that_tenant_and_no_other() {
    let door = Door::open(|_| ());
    let change = |tenant: &str, id: &str, edit: Value| {
        let body = json!({ "id": id, "edits": [edit] }).to_string();
        door.ask(Scope::Change, tenant, "POST", "/v1/changes", &body)
    };
    let lives = |tenant: &str| json!({ "set_lives": { "tenant": tenant, "user": "u1001", "lives": "pbx" } });
    let (status, made) = change("acme", "a", lives("acme"));
    assert_eq!((status, &made["who"]), (201, &json!("token change-acme")), "{made}");
    for edit in [
        lives("bee"),
        lives("nobody"),
        json!({ "put": { "plan": "main plan", "prefix": "900", "tag": "carrier", "owner": "acme" } }),
        json!({ "put": { "plan": "main plan", "prefix": "900", "tag": "carrier" } }),
        json!({ "remove": { "plan": "main plan", "prefix": "001" } }),
        json!({ "remove_owner": { "owner": "bee" } }),
        json!({ "remove_owner": { "owner": "" } }),
        json!({ "remove_tenant": { "tenant": "acme" } }),
        json!({ "replace_users": { "tenant": "bee", "users": [] } }),
    ] {
        let (status, answer) = change("acme", "b", edit.clone());
        assert_eq!((status, &answer["error"]), (403, &json!("not_yours")), "{edit}: {answer}");
    }
    let (status, answer) = change("bee", "a", lives("bee"));
    assert_eq!((status, &answer["error"]), (409, &json!("conflict")), "another's change is not shown: {answer}");
    let read = |tenant: &str, path: &str| door.ask(Scope::Read, tenant, "GET", path, "");
    assert_eq!(read("bee", "/v1/changes").1, json!([]));
    assert_eq!(read("bee", "/v1/changes/a").0, 404);
    assert_eq!(read("acme", "/v1/changes").1.as_array().unwrap().len(), 1);
    assert_eq!(read("acme", "/v1/changes/a").0, 200);
    let revert = |tenant: &str, id: &str| {
        door.ask(Scope::Change, tenant, "POST", "/v1/changes/a/revert", &json!({ "id": id }).to_string())
    };
    assert_eq!(revert("bee", "c").0, 403);
    assert_eq!(revert("acme", "d").0, 201);
}

#[test]
fn nobody_comes_in_without_a_token_or_with_a_wrong_one() {
    let door = Door::open(|_| ());
    for (lines, error, challenge) in [
        ("", "no_token", "Bearer realm=\"trunkway\"\r\n"),
        ("Authorization: Basic eDp5\r\n", "no_token", "Bearer realm"),
        ("Authorization: Bearer\r\n", "no_token", "Bearer realm"),
        ("Authorization: Bearer 0\r\n", "wrong_token", "error=\"invalid_token\""),
    ] {
        for path in ["/v1/status", "/v1/nothing"] {
            let (status, head, answer) = door.ask_with(lines, "GET", path, "");
            assert_eq!((status, &answer["error"]), (401, &json!(error)), "{lines}{path}: {answer}");
            let head = format!("{head}\r\n");
            assert!(head.to_lowercase().contains("www-authenticate: bearer"), "{head}");
            assert!(head.contains(challenge), "{head}");
        }
    }
}

#[test]
fn who_guesses_is_held_back_and_others_are_not() {
    let door = Door::open(|_| ());
    let begin = Instant::now();
    for _ in 0..3 {
        assert_eq!(door.ask_with("Authorization: Bearer guess\r\n", "GET", "/v1/status", "").0, 401);
    }
    assert!(begin.elapsed() >= Duration::from_millis(250 + 500 + 1_000), "{:?}", begin.elapsed());
    let begin = Instant::now();
    assert_eq!(door.ask(Scope::Read, "", "GET", "/v1/status", "").0, 200);
    assert!(begin.elapsed() < Duration::from_secs(8), "a good token does not wait");
}

#[test]
fn tokens_and_networks_are_those_of_now() {
    let door = Door::open(|_| ());
    assert_eq!(door.ask(Scope::Read, "", "GET", "/v1/status", "").0, 200);
    let only = Token::new("new".into(), &secret(Scope::Admin, ""), Scope::Admin, None).unwrap();
    door.access.store(Arc::new(Access { allow_from: Vec::new(), tokens: Tokens(vec![only]) }));
    assert_eq!(door.ask(Scope::Read, "", "GET", "/v1/status", "").0, 401, "it was taken out");
    assert_eq!(door.ask(Scope::Admin, "", "GET", "/v1/status", "").0, 200);
    let elsewhere = Network { addr: "192.0.2.0".parse().unwrap(), bits: 24 };
    door.access.store(Arc::new(Access { allow_from: vec![elsewhere], tokens: Tokens::default() }));
    let mut stream = door.connect();
    let _ = stream.write_all(b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty(), "a connection from elsewhere is closed without a word");
}

#[test]
fn connections_of_an_address_are_bounded_and_their_room_is_given_back() {
    let door = Door::open(|http| http.max_connections_per_address = 2);
    let line = format!("Authorization: Bearer {}\r\n", secret(Scope::Read, ""));
    let served = || {
        let mut stream = door.connect();
        let _ = stream
            .write_all(format!("GET /v1/status HTTP/1.1\r\nHost: x\r\n{line}Connection: close\r\n\r\n").as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        answer.starts_with(b"HTTP/1.1 200")
    };
    let until = |what: bool| {
        let deadline = Instant::now() + Duration::from_secs(20);
        while served() != what {
            assert!(Instant::now() < deadline, "served: {}", !what);
        }
    };
    until(true);
    let held = [door.connect(), door.connect()];
    until(false);
    drop(held);
    until(true);
    drop(door.runtime);
}
