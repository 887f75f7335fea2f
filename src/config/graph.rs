//! `[tenant.ID.graph]`: how Microsoft Graph is asked for a tenant; `[presence.webhook]`: where Graph reaches the edge.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::address::{host_name, socket};
use super::log::{At, Draft};
use super::reader::{Complaint, Table, quoted};

/// How Graph is asked for a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    /// The directory (tenant) id in Entra, or a verified domain.
    pub directory: Arc<str>,
    /// The application's client id, which is also the session id of presence.
    pub client: Arc<str>,
    pub credential: Credential,
    /// When the client secret ends, in seconds since 1970, where the operator has written it down.
    pub secret_ends: Option<i64>,
    /// `https://login.microsoftonline.com`, or that of another cloud or stand-in; no slash at its end.
    pub login: Arc<str>,
    /// `https://graph.microsoft.com`, or that of another cloud or stand-in; no slash at its end.
    pub base: Arc<str>,
    /// PEM: the roots that both may lead to; `None`: those of the system.
    pub ca: Option<PathBuf>,
    /// How long one request may take.
    pub timeout: Duration,
    /// Requests under way at once; more wait.
    pub max_requests: usize,
    /// Graph tells of changes by itself, in the name of a service account.
    pub notifications: Option<Notifications>,
}

/// What the application proves itself with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A file with the client secret.
    Secret(PathBuf),
    /// PEM files of a certificate and its key; `legacy`: RS256 with `x5t` instead of PS256 with `x5t#S256`.
    Certificate { certificate: PathBuf, key: PathBuf, legacy: bool },
}

/// Change notifications of presence, which Graph gives to signed-in accounts only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notifications {
    /// The public URL that leads to `[presence.webhook]`; no slash at its end.
    pub url: Arc<str>,
    /// A file with the refresh token of a service account; newer ones are written there.
    pub refresh_token_file: PathBuf,
    /// PEM files of an RSA certificate and its key, which Graph encrypts what it tells for.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Where Graph's notifications come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    pub bind: SocketAddr,
    /// PEM: the certificate chain, the edge's own first, and its key.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Connections at once.
    pub max_connections: usize,
    /// Bytes of one request's body.
    pub max_body_bytes: usize,
    /// Notifications that wait to be read.
    pub queue: usize,
}

/// A cloud of Microsoft's: where its Entra and its Graph are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cloud {
    login: &'static str,
    base: &'static str,
    has_presence: bool,
}

const GLOBAL: Cloud =
    Cloud { login: "https://login.microsoftonline.com", base: "https://graph.microsoft.com", has_presence: true };

/// The clouds by their names (reference page `teams-protocol.md`, B6).
const CLOUDS: &[(&str, Cloud)] = &[
    ("global", GLOBAL),
    (
        "gcc-high",
        Cloud { login: "https://login.microsoftonline.us", base: "https://graph.microsoft.us", has_presence: true },
    ),
    (
        "dod",
        Cloud { login: "https://login.microsoftonline.us", base: "https://dod-graph.microsoft.us", has_presence: true },
    ),
    (
        "china",
        Cloud {
            login: "https://login.chinacloudapi.cn",
            base: "https://microsoftgraph.chinacloudapi.cn",
            has_presence: false,
        },
    ),
];

/// Names that Entra takes in place of a directory where people sign in, and not for applications.
const NO_DIRECTORIES: &[&str] = &["common", "organizations", "consumers"];

/// Reads `[tenant.ID.graph]`; `None`: too much of it is wrong.
pub(super) fn read(mut table: Table<'_>) -> Option<Graph> {
    let t = &mut table;
    t.must_have("directory");
    t.must_have("client");
    let directory = t.parsed("directory", directory);
    let client = t.parsed("client", guid);
    let credential = credential(t);
    let secret_ends = t.parsed("secret_expires", end_of_day);
    if let Some(ends) = secret_ends.as_ref().filter(|_| matches!(credential, Some(Credential::Certificate { .. }))) {
        let message =
            format!("{}: `secret_expires` is not used with a certificate, which says itself when it ends", t.title);
        t.log().add(Draft::warning(ends.place, message));
    }
    let cloud = t.choice("cloud", CLOUDS);
    if let Some(At { place, .. }) = cloud.as_ref().filter(|cloud| !cloud.value.has_presence) {
        let message = format!("{}: this cloud has no presence in Graph; only users are read from it", t.title);
        t.log().add(Draft::warning(*place, message));
    }
    let cloud = cloud.map_or(GLOBAL, |cloud| cloud.value);
    let login = t.parsed("login_url", url).map_or_else(|| cloud.login.into(), |url| url.value);
    let base = t.parsed("graph_url", url).map_or_else(|| cloud.base.into(), |url| url.value);
    let ca = t.existing("ca").map(|path| path.value);
    let timeout = t.seconds("timeout_s", 1..=120, Graph::TIMEOUT);
    let max_requests = t.count("max_requests", 1..=1_000, Graph::MAX_REQUESTS);
    let notifications = t.table("notifications", "tenant.ID.graph.notifications").and_then(notifications);
    table.finish();
    Some(Graph {
        directory: directory?.value,
        client: client?.value,
        credential: credential?,
        secret_ends: secret_ends.map(|ends| ends.value),
        login,
        base,
        ca,
        timeout,
        max_requests,
        notifications,
    })
}

impl Graph {
    /// How long a request may take when nothing is said.
    pub const TIMEOUT: Duration = Duration::from_secs(20);

    /// Requests under way at once when nothing is said.
    pub const MAX_REQUESTS: usize = 32;
}

/// A secret, or a certificate with its key.
fn credential(t: &mut Table<'_>) -> Option<Credential> {
    let secret = t.existing("secret_file");
    let (certificate, key) = (t.existing("certificate"), t.existing("key"));
    let assertion = t.choice("assertion", &[("ps256", false), ("rs256", true)]);
    for (one, other) in [("certificate", "key"), ("key", "certificate")] {
        if t.has(one) && !t.has(other) {
            let message = format!("{}: `{one}` without `{other}`", t.title);
            t.log().add(Draft::error(t.place_of(one), message));
        }
    }
    if let Some(assertion) = assertion.as_ref().filter(|_| !t.has("certificate")) {
        let message = format!("{}: `assertion` is of no use without `certificate`", t.title);
        t.log().add(Draft::error(assertion.place, message));
    }
    let legacy = assertion.is_some_and(|assertion| assertion.value);
    match (secret, certificate, key) {
        (Some(secret), None, None) => Some(Credential::Secret(secret.value)),
        (None, Some(certificate), Some(key)) => {
            Some(Credential::Certificate { certificate: certificate.value, key: key.value, legacy })
        }
        (Some(_), Some(certificate), _) => {
            let message =
                format!("{}: `secret_file` and `certificate`: the application proves itself with one of them", t.title);
            t.log().add(Draft::error(certificate.place, message));
            None
        }
        _ => {
            if !t.has("secret_file") && !t.has("certificate") && !t.has("key") {
                let message = format!("{} has neither `secret_file` nor `certificate` and `key`", t.title);
                let help = "make a client secret for the application in Entra, or upload a certificate to it";
                t.log().add(Draft::error(t.place, message).label("in this table").help(help));
            }
            None
        }
    }
}

fn notifications(mut table: Table<'_>) -> Option<Notifications> {
    let t = &mut table;
    for key in ["url", "refresh_token_file", "certificate", "key"] {
        t.must_have(key);
    }
    let url = t.parsed("url", url);
    let refresh = t.existing("refresh_token_file");
    let (certificate, key) = (t.existing("certificate"), t.existing("key"));
    table.finish();
    Some(Notifications {
        url: url?.value,
        refresh_token_file: refresh?.value,
        certificate: certificate?.value,
        key: key?.value,
    })
}

/// Reads `[presence.webhook]`; `None`: too much of it is wrong.
pub(super) fn webhook(mut table: Table<'_>) -> Option<Webhook> {
    let t = &mut table;
    for key in ["bind", "certificate", "key"] {
        t.must_have(key);
    }
    let bind = t.parsed("bind", |text| socket(text, Some(8_444)));
    let (certificate, key) = (t.existing("certificate"), t.existing("key"));
    let max_connections = t.count("max_connections", 1..=10_000, 64);
    let max_body_bytes = t.count("max_body_bytes", 65_536..=64 << 20, 4 << 20);
    let queue = t.count("queue", 1..=100_000, 1_000);
    table.finish();
    Some(Webhook {
        bind: bind?.value,
        certificate: certificate?.value,
        key: key?.value,
        max_connections,
        max_body_bytes,
        queue,
    })
}

/// The id of an application or a directory, in lower case.
fn guid(text: &str) -> Result<Arc<str>, Complaint> {
    let text = text.trim().to_ascii_lowercase();
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    let good = lengths == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    good.then(|| text.as_str().into()).ok_or_else(|| {
        let help = "it looks like 00000000-0000-0000-0000-000000000000, on the application's page in Entra";
        Complaint::new(format!("{} is no id", quoted(&text))).help(help)
    })
}

/// The id of a directory, or a domain.
fn directory(text: &str) -> Result<Arc<str>, Complaint> {
    if NO_DIRECTORIES.iter().any(|name| name.eq_ignore_ascii_case(text.trim())) {
        let message = format!("{} is for people who sign in, and not for applications", quoted(text));
        return Err(Complaint::new(message).help("write the directory (tenant) id, or a domain of the directory"));
    }
    guid(text).or_else(|complaint| if text.contains('.') { host_name(text.trim()) } else { Err(complaint) })
}

/// An `https` URL without query and fragment; `http` leads to this machine only. The slash at the end is left out.
fn url(text: &str) -> Result<Arc<str>, Complaint> {
    let no_url = || Complaint::new(format!("{} is no URL such as `https://graph.microsoft.com`", quoted(text)));
    let (scheme, rest) = text.split_once("://").ok_or_else(no_url)?;
    let rest = rest.trim_end_matches('/');
    let host_end = rest.find('/').unwrap_or(rest.len());
    let authority = rest.get(..host_end).unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"?#@\\\"<>{}|^`".contains(&byte);
    if authority.is_empty() || !rest.bytes().all(plain) {
        return Err(no_url());
    }
    let host_port = super::address::host_port(authority)?;
    match scheme {
        "https" => {}
        "http" if &*host_port.host == "localhost" || host_port.literal.is_some_and(|literal| literal.is_loopback()) => {
        }
        "http" => {
            let message = format!("{}: without TLS only to this machine", quoted(text));
            return Err(Complaint::new(message).help("write `https://`: secrets and tokens go there"));
        }
        _ => return Err(no_url()),
    }
    Ok(format!("{scheme}://{rest}").into())
}

/// The end of a day in UTC, in seconds since 1970.
fn end_of_day(text: &str) -> Result<i64, Complaint> {
    let date = text.trim().parse::<Date>().ok().and_then(|date| date.tomorrow().ok()?.to_zoned(TimeZone::UTC).ok());
    date.map(|date| date.timestamp().as_second())
        .ok_or_else(|| Complaint::new(format!("{} is no day such as \"2027-01-31\"", quoted(text))))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::load_str;
    use super::*;

    const HEAD: &str = "[node]\nname = 'edge'\n[tenant.contoso.graph]\n";
    const IDS: &str = "directory = 'Contoso.onmicrosoft.com'\nclient = '6E74172B-BE56-4843-9FF4-E66A39BB12E3'\n";

    fn place() -> tempfile::TempDir {
        let place = tempfile::tempdir().unwrap();
        for name in ["secret", "c.pem", "c.key", "refresh"] {
            std::fs::write(place.path().join(name), "").unwrap();
        }
        place
    }

    fn load(base: &Path, text: &str) -> Result<(Graph, String), String> {
        let loaded = load_str("edge.toml", &format!("{HEAD}{text}"), base).map_err(|faults| faults.to_string())?;
        Ok((loaded.config.graph["contoso"].clone(), loaded.warnings.to_string()))
    }

    #[test]
    fn clouds_and_credentials_are_read() {
        let place = place();
        let (graph, warnings) =
            load(place.path(), &format!("{IDS}secret_file = 'secret'\nsecret_expires = '2027-01-31'\n")).unwrap();
        assert_eq!(
            (&*graph.directory, &*graph.client),
            ("contoso.onmicrosoft.com", "6e74172b-be56-4843-9ff4-e66a39bb12e3")
        );
        assert_eq!((&*graph.login, &*graph.base), (GLOBAL.login, GLOBAL.base));
        assert_eq!(graph.credential, Credential::Secret(place.path().join("secret")));
        assert_eq!(graph.secret_ends, Some(1_801_440_000));
        assert!(!warnings.contains("`graph`"), "{warnings}");
        let text = "certificate = 'c.pem'\nkey = 'c.key'\nassertion = 'rs256'\ncloud = 'dod'\nlogin_url = 'http://127.0.0.1:8080/'\n\
                    ca = 'c.pem'\ntimeout_s = 5\nmax_requests = 3\n[tenant.contoso.graph.notifications]\n\
                    url = 'https://edge.example.net/graph/'\nrefresh_token_file = 'refresh'\ncertificate = 'c.pem'\nkey = 'c.key'\n";
        let (graph, _) = load(place.path(), &format!("{IDS}{text}")).unwrap();
        assert!(matches!(graph.credential, Credential::Certificate { legacy: true, .. }));
        assert_eq!((&*graph.login, &*graph.base), ("http://127.0.0.1:8080", "https://dod-graph.microsoft.us"));
        assert_eq!((graph.timeout.as_secs(), graph.max_requests), (5, 3));
        assert_eq!(&*graph.notifications.unwrap().url, "https://edge.example.net/graph");
        let (_, warnings) = load(place.path(), &format!("{IDS}secret_file = 'secret'\ncloud = 'china'\n")).unwrap();
        assert!(warnings.contains("no presence"), "{warnings}");
    }

    #[test]
    fn what_cannot_work_is_told() {
        let place = place();
        let secret = "secret_file = 'secret'\n";
        for (text, fault) in [
            (secret.to_owned(), "has no `directory`"),
            (format!("directory = 'common'\nclient = 'x'\n{secret}"), "for people who sign in"),
            (format!("directory = 'contoso'\nclient = 'x'\n{secret}"), "`contoso` is no id"),
            (IDS.to_owned(), "neither `secret_file` nor `certificate`"),
            (format!("{IDS}{secret}certificate = 'c.pem'\nkey = 'c.key'\n"), "with one of them"),
            (format!("{IDS}certificate = 'c.pem'\n"), "`certificate` without `key`"),
            (format!("{IDS}{secret}assertion = 'ps256'\n"), "of no use without `certificate`"),
            (format!("{IDS}{secret}graph_url = 'http://graph.example.net'\n"), "without TLS only to this machine"),
            (format!("{IDS}{secret}graph_url = 'graph.example.net'\n"), "is no URL"),
            (format!("{IDS}{secret}graph_url = 'https://a@b'\n"), "is no URL"),
            (format!("{IDS}{secret}secret_expires = 'soon'\n"), "is no day"),
            (format!("{IDS}{secret}cloud = 'globl'\n"), "did you mean `global`"),
            (format!("{IDS}{secret}secret = 'x'\n"), "has no key `secret`"),
            (format!("{IDS}secret_file = 'missing'\n"), "cannot read"),
        ] {
            let told = load(place.path(), &text).unwrap_err();
            assert!(told.contains(fault), "{text}: {told}");
        }
    }
}
