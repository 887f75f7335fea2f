//! The stand-in for Graph as programs use it that nobody here wrote: curl, openssl and Python.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use trunkway::lab::graph::{ClientState, Device, EntraTenant, GraphApp, GraphStandIn, GraphStandInSettings, GraphUser};

use crate::support::until;

const TENANT: &str = "72f988bf-0000-4000-8000-000000000001";
const CLIENT: &str = "11111111-0000-4000-8000-00000000000a";
const USER: &str = "anna@contoso.example";

/// A stand-in, and a folder with its root certificate.
struct Lab {
    graph: GraphStandIn,
    folder: TempDir,
}

impl Lab {
    fn start(app: GraphApp) -> Self {
        let tenant = EntraTenant {
            id: TENANT.into(),
            domains: vec!["contoso.example".into()],
            apps: vec![app],
            users: vec![GraphUser::new(USER, "Anna")],
        };
        let graph = GraphStandIn::start(GraphStandInSettings::with_tenant(tenant)).unwrap();
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("ca.pem"), graph.ca()).unwrap();
        Self { graph, folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Status and body of what curl gets.
    fn curl(&self, path: &str, arguments: &[&str]) -> (u16, Value) {
        let mut command = Command::new("curl");
        command.args([
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--cacert",
            "ca.pem",
            "--write-out",
            "\n%{http_code}",
        ]);
        command.args(arguments).arg(format!("{}{path}", self.graph.url())).current_dir(self.path());
        let output = command.output().expect("curl is there");
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap_or_else(|| panic!("{text}: {:?}", output.stderr));
        (status.parse().unwrap(), serde_json::from_str(body).unwrap_or(Value::Null))
    }

    /// What a request for a token gets; each argument is a field of the form.
    fn token(&self, fields: &[(&str, &str)]) -> (u16, Value) {
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let arguments: Vec<&str> = fields.iter().flat_map(|field| ["--data-urlencode", field.as_str()]).collect();
        self.curl(&format!("/{TENANT}/oauth2/v2.0/token"), &arguments)
    }

    fn post(&self, path: &str, token: &str, body: &Value) -> (u16, Value) {
        let (token, body) = (format!("Authorization: Bearer {token}"), body.to_string());
        self.curl(path, &["--header", &token, "--json", &body])
    }
}

/// What openssl prints; it must succeed.
fn openssl(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output().expect("openssl is there");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A certificate with an RSA key: `NAME.pem` and `NAME.key`.
fn certificate(folder: &Path, name: &str) -> String {
    let (pem, key) = (format!("{name}.pem"), format!("{name}.key"));
    let kind = ["-newkey", "rsa:2048", "-nodes", "-x509", "-days", "2", "-subj", "/CN=localhost"];
    openssl(folder, &[&["req"], &kind[..], &["-out", &pem, "-keyout", &key]].concat());
    std::fs::read_to_string(folder.join(pem)).unwrap()
}

fn base64url(folder: &Path, bytes: &[u8]) -> String {
    std::fs::write(folder.join("raw"), bytes).unwrap();
    let text = openssl(folder, &["base64", "-A", "-in", "raw"]);
    String::from_utf8(text).unwrap().trim().replace('+', "-").replace('/', "_").trim_end_matches('=').to_owned()
}

/// An assertion that openssl signs.
fn assertion(lab: &Lab, pss: bool, claims: &Value) -> String {
    let folder = lab.path();
    let (digest, algorithm, name) = if pss { ("-sha256", "PS256", "x5t#S256") } else { ("-sha1", "RS256", "x5t") };
    std::fs::write(folder.join("app.der"), openssl(folder, &["x509", "-in", "app.pem", "-outform", "DER"])).unwrap();
    let thumbprint = openssl(folder, &["dgst", digest, "-binary", "app.der"]);
    let header = json!({ "alg": algorithm, "typ": "JWT", name: base64url(folder, &thumbprint) });
    let parts = [header.to_string(), claims.to_string()].map(|part| base64url(folder, part.as_bytes()));
    std::fs::write(folder.join("message"), parts.join(".")).unwrap();
    let padding = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"];
    let padding = if pss { &padding[..] } else { &[] };
    let signature =
        openssl(folder, &[&["dgst", "-sha256", "-sign", "app.key"], padding, &["-binary", "message"]].concat());
    format!("{}.{}", parts.join("."), base64url(folder, &signature))
}

fn claims(lab: &Lab, id: &str) -> Value {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    json!({
        "aud": format!("{}/{TENANT}/oauth2/v2.0/token", lab.graph.url()),
        "iss": CLIENT, "sub": CLIENT, "jti": id, "nbf": now, "iat": now, "exp": now + 300,
    })
}

fn by_assertion(lab: &Lab, assertion: &str) -> (u16, Value) {
    lab.token(&[
        ("client_id", CLIENT),
        ("scope", "https://graph.microsoft.com/.default"),
        ("grant_type", "client_credentials"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", assertion),
    ])
}

#[test]
fn curl_and_openssl_get_a_token_by_certificate_and_write_a_session() {
    let lab = Lab::start(GraphApp::new(CLIENT, "unused"));
    let pem = certificate(lab.path(), "app");
    lab.graph.change_app(TENANT, CLIENT, |app| app.certificates = vec![pem]);
    let number = |(status, body): (u16, Value)| (status, body["error_codes"][0].as_u64());
    for (pss, id) in [(true, "one"), (false, "two")] {
        let good = assertion(&lab, pss, &claims(&lab, id));
        let (status, body) = by_assertion(&lab, &good);
        assert_eq!((status, body["token_type"].as_str()), (200, Some("Bearer")), "{body}");
        assert_eq!(number(by_assertion(&lab, &good)), (401, Some(50_027)), "an assertion is good for one time");
    }
    let with = |name: &str, value: Value| {
        let mut changed = claims(&lab, name);
        changed[name] = value;
        number(by_assertion(&lab, &assertion(&lab, true, &changed)))
    };
    assert_eq!(with("aud", json!("https://login.example/token")), (401, Some(700_023)));
    assert_eq!(with("exp", json!(1_700_000_000)), (401, Some(700_024)));
    assert_eq!(with("iss", json!("another")), (401, Some(700_021)));
    assert_eq!(with("sub", json!("another")), (401, Some(700_021)));
    certificate(lab.path(), "app");
    let foreign = assertion(&lab, true, &claims(&lab, "three"));
    assert_eq!(number(by_assertion(&lab, &foreign)), (401, Some(700_027)), "another certificate");
}

#[test]
fn golden_rows_hold_for_a_client_that_is_curl() {
    let lab = Lab::start(GraphApp::new(CLIENT, "a secret"));
    lab.graph.set_token_life(Duration::from_secs(86_400));
    let (status, body) = lab.token(&[
        ("client_id", CLIENT),
        ("client_secret", "a secret"),
        ("scope", "https://graph.microsoft.com/.default"),
        ("grant_type", "client_credentials"),
    ]);
    assert_eq!(status, 200, "{body}");
    let token = body["access_token"].as_str().unwrap();
    let user = lab.graph.user_id(TENANT, USER).unwrap();
    let rows = [
        (None, "offline", "Offline"),
        (None, "connected-inactive", "Away"),
        (None, "connected-active", "Available"),
        (None, "busy", "Busy"),
        (None, "focus-or-presenting", "DoNotDisturb"),
        (Some("InACall"), "offline", "Busy"),
        (Some("InACall"), "connected-inactive", "Busy"),
        (Some("InACall"), "connected-active", "Busy"),
        (Some("InACall"), "busy", "Busy"),
        (Some("InACall"), "focus-or-presenting", "DoNotDisturb"),
    ];
    for (session, client, shown) in rows {
        let path = format!("/v1.0/users/{user}/presence");
        let (action, body) = match session {
            Some(activity) => (
                "setPresence",
                json!({ "sessionId": CLIENT, "availability": "Busy", "activity": activity, "expirationDuration": "PT1H" }),
            ),
            None => ("clearPresence", json!({ "sessionId": CLIENT })),
        };
        let (status, body) = lab.post(&format!("{path}/{action}"), token, &body);
        assert_eq!(status, if session.is_some() { 200 } else { 404 }, "{body}");
        let state = json!({ "tenant": TENANT, "user": USER, "state": client });
        assert_eq!(lab.curl("/lab/client", &["--json", &state.to_string()]).0, 204);
        let (status, body) = lab.curl(&path, &["--header", &format!("Authorization: Bearer {token}")]);
        assert_eq!((status, body["availability"].as_str()), (200, Some(shown)), "{session:?} and {client}");
        lab.graph.advance(Duration::from_secs(1_900));
    }
    assert_eq!(lab.graph.complaints(), []);
}

/// A subscriber in Python: it gives the handshake's token back, and writes each notification to a file.
const SUBSCRIBER: &str = r#"
import http.server, ssl, sys, urllib.parse

class Subscriber(http.server.BaseHTTPRequestHandler):
    count = 0
    def do_POST(self):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        token = query.get("validationToken", [""])[0].encode()
        if not token:
            Subscriber.count += 1
            with open("notification.%d.part" % Subscriber.count, "wb") as file:
                file.write(body)
            import os
            os.rename("notification.%d.part" % Subscriber.count, "notification.%d" % Subscriber.count)
        self.send_response(200 if token else 202)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(token)))
        self.end_headers()
        self.wfile.write(token)
    def log_message(self, *arguments):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Subscriber)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("app.pem", "app.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
with open("port.part", "w") as file:
    file.write(str(server.server_address[1]))
import os
os.rename("port.part", "port")
server.serve_forever()
"#;

/// A program that ends with the test.
struct Ends(std::process::Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_subscriber_in_python_is_told_and_openssl_reads_it() {
    let mut app = GraphApp::new(CLIENT, "a secret");
    app.refresh_tokens = vec!["of a service account".to_owned()];
    let lab = Lab::start(app);
    let pem = certificate(lab.path(), "app");
    let mut python = Command::new("python3");
    python.args(["-c", SUBSCRIBER]).current_dir(lab.path()).stdout(Stdio::null());
    let _subscriber = Ends(python.spawn().expect("python3 is there"));
    let soon = Duration::from_secs(30);
    let port = until("the subscriber listens", soon, || std::fs::read_to_string(lab.path().join("port")).ok());
    let form = |grant: &[(&str, &str)]| {
        let common = [("client_id", CLIENT), ("client_secret", "a secret")];
        let (status, body) = lab.token(&[&common, grant].concat());
        assert_eq!(status, 200, "{body}");
        body["access_token"].as_str().unwrap().to_owned()
    };
    let own = form(&[("grant_type", "client_credentials"), ("scope", "https://graph.microsoft.com/.default")]);
    let refresh = ("refresh_token", "of a service account");
    let delegated =
        form(&[("grant_type", "refresh_token"), ("scope", "https://graph.microsoft.com/Presence.Read.All"), refresh]);
    let user = lab.graph.user_id(TENANT, USER).unwrap();
    let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let date = date(50);
    let wanted = json!({
        "changeType": "updated",
        "notificationUrl": format!("https://127.0.0.1:{port}/graph?for=contoso"),
        "resource": format!("/communications/presences?$filter=id in ('{user}')"),
        "expirationDateTime": date,
        "clientState": "known to both",
        "includeResourceData": true,
        "encryptionCertificate": der,
        "encryptionCertificateId": "mine",
    });
    assert_eq!(lab.post("/v1.0/subscriptions", &own, &wanted).0, 403, "an application may not");
    let (status, made) = lab.post("/v1.0/subscriptions", &delegated, &wanted);
    assert_eq!(status, 201, "{made}");
    lab.graph.set_client(TENANT, USER, Device::Desktop, ClientState::InAMeeting);
    let first = lab.path().join("notification.1");
    let text = until("a notification comes", soon, || std::fs::read_to_string(&first).ok());
    let notification: Value = serde_json::from_str(&text).unwrap();
    let item = &notification["value"][0];
    assert_eq!((&item["clientState"], &item["subscriptionId"]), (&json!("known to both"), &made["id"]));
    let read = unsealed(lab.path(), &item["encryptedContent"]);
    assert_eq!((&read["availability"], &read["activity"]), (&json!("Busy"), &json!("InAMeeting")));
    assert_eq!(notification["validationTokens"].as_array().unwrap().len(), 1);
    let id = made["id"].as_str().unwrap();
    let header = format!("Authorization: Bearer {delegated}");
    assert_eq!(lab.curl(&format!("/v1.0/subscriptions/{id}"), &["--header", &header, "--request", "DELETE"]).0, 204);
    assert!(lab.graph.deliveries().iter().all(|delivery| delivery.status == 202), "{:?}", lab.graph.deliveries());
}

/// A date so many minutes from now.
fn date(minutes: u32) -> String {
    let mut date = Command::new("date");
    let output = date.args(["-u", "-d", &format!("+{minutes} minutes"), "+%Y-%m-%dT%H:%M:%SZ"]).output();
    String::from_utf8(output.expect("date is there").stdout).unwrap().trim().to_owned()
}

/// Decrypts an item by openssl alone, after its signature was found good.
fn unsealed(folder: &Path, sealed: &Value) -> Value {
    for name in ["data", "dataKey"] {
        std::fs::write(folder.join("text"), sealed[name].as_str().unwrap()).unwrap();
        std::fs::write(folder.join(name), openssl(folder, &["base64", "-d", "-A", "-in", "text"])).unwrap();
    }
    let oaep = ["-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha1"];
    let key = openssl(folder, &[&["pkeyutl", "-decrypt", "-inkey", "app.key", "-in", "dataKey"], &oaep[..]].concat());
    assert_eq!(key.len(), 32);
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let mac = format!("hexkey:{hex}");
    let signature = openssl(folder, &["dgst", "-sha256", "-mac", "HMAC", "-macopt", &mac, "-binary", "data"]);
    std::fs::write(folder.join("mac"), signature).unwrap();
    let signature = openssl(folder, &["base64", "-A", "-in", "mac"]);
    assert_eq!(String::from_utf8(signature).unwrap().trim(), sealed["dataSignature"].as_str().unwrap());
    let plain = openssl(folder, &["enc", "-d", "-aes-256-cbc", "-K", &hex, "-iv", &hex[..32], "-in", "data"]);
    serde_json::from_slice(&plain).unwrap()
}
