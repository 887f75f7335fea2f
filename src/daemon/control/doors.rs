//! The doors for operators: the Unix socket, and the port with TLS and tokens. What stands behind them is the [`Desk`].

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::net::TcpStream;

use super::Desk;
use super::unwell::unreadable;
use crate::admin::{
    Access, BindError, Cause, Handshake, HttpServer, HttpSettings, Scope, SecretFault, Server, Settings, Severity,
    Shaking, Stream, Token, Tokens,
};
use crate::config::{Control, ControlHttp, ControlScope, ControlToken};
use crate::transport::tls::{ClientCertificate, ServerSettings, ServerTls, TlsError, certificate, stream};

/// The most that is read of a file with a secret, in bytes.
const MAX_SECRET_FILE: u64 = 64 * 1024;

/// How long before its end a certificate is told of.
const WARN_AHEAD_S: i64 = 30 * 86_400;

/// Why the doors do not open, or why what they show and whom they let in stays as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DoorError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("[control.http]: {0}")]
    Tls(#[from] TlsError),
    #[error("control token \"{name}\": cannot read {file}: {error}", file = file.display())]
    Unreadable { name: Arc<str>, file: PathBuf, error: std::io::Error },
    #[error("control token \"{name}\": {file}: {fault}", file = file.display())]
    Secret { name: Arc<str>, file: PathBuf, fault: SecretFault },
}

/// The open doors, until they are served.
pub struct Doors {
    socket: Option<Server>,
    http: Option<HttpServer>,
    locks: Arc<Locks>,
}

/// What of the doors changes while they are open: whom they let in, and the certificate of the one by TCP.
pub struct Locks {
    access: Arc<ArcSwap<Access>>,
    /// `None`: there is no door by TCP.
    curtain: Option<Arc<Curtain>>,
    /// Files that the next start needs.
    secrets: ArcSwap<Vec<PathBuf>>,
}

/// What was read anew and is not in force yet.
pub struct Renewed {
    access: Access,
    tls: Option<Shown>,
    secrets: Vec<PathBuf>,
}

/// TLS of the door by TCP.
struct Curtain(ArcSwap<Shown>);

/// The certificate that the door shows.
struct Shown {
    tls: ServerTls,
    file: PathBuf,
    /// When the first certificate of the chain that ends does so, in seconds since 1970.
    ends: Option<i64>,
}

impl Handshake for Curtain {
    fn shake(&self, stream: TcpStream) -> Shaking {
        let shown = self.0.load_full();
        Box::pin(async move {
            let stream: Box<dyn Stream> = Box::new(stream::accept(&shown.tls, stream).await?);
            Ok(stream)
        })
    }
}

impl Doors {
    /// Opens the doors of a configuration; `None`: it has none. Needs a runtime.
    ///
    /// # Errors
    /// [`DoorError`]; none is open then.
    pub fn bind(control: &Control) -> Result<Option<Self>, DoorError> {
        if control.socket.is_none() && control.http.is_none() {
            return Ok(None);
        }
        let access = Arc::new(ArcSwap::from_pointee(access(control)?));
        let (mut http, mut curtain) = (None, None);
        let secrets = ArcSwap::from_pointee(secrets(control));
        if let Some(by_tcp) = &control.http {
            let tls = Arc::new(Curtain(ArcSwap::from_pointee(tls(by_tcp)?)));
            let handshake: Arc<dyn Handshake> = tls.clone();
            let settings = http_settings(by_tcp);
            http = Some(HttpServer::bind(settings_of(control), &settings, Arc::clone(&access), handshake)?);
            curtain = Some(tls);
        }
        let socket = match &control.socket {
            Some(path) => Some(Server::bind(path, settings_of(control))?),
            None => None,
        };
        Ok(Some(Self { socket, http, locks: Arc::new(Locks { access, curtain, secrets }) }))
    }

    /// What a reload renews.
    pub fn locks(&self) -> Arc<Locks> {
        Arc::clone(&self.locks)
    }

    /// Serves until it is dropped.
    pub async fn serve(self, desk: Arc<Desk>) {
        let Self { socket, http, locks: _ } = self;
        let by_socket = async {
            if let Some(server) = socket {
                server.serve(desk.clone()).await;
            }
        };
        let by_tcp = async {
            if let Some(server) = http {
                server.serve(desk.clone()).await;
            }
        };
        tokio::join!(by_socket, by_tcp);
    }
}

impl Locks {
    /// Reads tokens and certificate of a configuration anew. Nothing changes.
    ///
    /// # Errors
    /// [`DoorError`] when one of the files is no good.
    pub fn prepare(&self, control: &Control) -> Result<Renewed, DoorError> {
        let tls = match (&self.curtain, &control.http) {
            (Some(_), Some(http)) => Some(tls(http)?),
            _ => None,
        };
        Ok(Renewed { access: access(control)?, tls, secrets: secrets(control) })
    }

    /// Puts into force what was prepared: the next handshake shows the new certificate, the next request is asked for a
    /// token that is good now.
    pub fn commit(&self, renewed: Renewed) {
        let Renewed { access, tls, secrets } = renewed;
        self.access.store(Arc::new(access));
        self.secrets.store(Arc::new(secrets));
        if let (Some(curtain), Some(tls)) = (&self.curtain, tls) {
            curtain.0.store(Arc::new(tls));
        }
    }

    /// What is unwell: files that cannot be read any more, and the certificate's end.
    pub fn causes(&self, now: u64) -> Vec<Cause> {
        let mut causes: Vec<Cause> = self.secrets.load().iter().filter_map(unreadable).collect();
        let shown = self.curtain.as_ref().map(|curtain| curtain.0.load_full());
        causes.extend(shown.and_then(|shown| ending(&shown.file, shown.ends?, now)));
        causes
    }
}

/// A certificate that ends within a month, or has ended.
fn ending(file: &Path, ends: i64, now: u64) -> Option<Cause> {
    let left = ends.saturating_sub_unsigned(now);
    let (severity, name, text) = if left < 0 {
        (Severity::Error, "certificate-ended", format!("the certificate {} has ended", file.display()))
    } else if left < WARN_AHEAD_S {
        let days = left / 86_400;
        let text = format!("the certificate {} ends in {days} days", file.display());
        (Severity::Warning, "certificate-near-end", text)
    } else {
        return None;
    };
    let advice = "get a new one, put it in place of the old file and say `trunkway reload`".to_owned();
    Some(Cause { severity, name, source: file.display().to_string(), text, advice })
}

fn secrets(control: &Control) -> Vec<PathBuf> {
    let key = control.http.iter().map(|http| http.key.clone());
    control.tokens.iter().map(|token| token.file.clone()).chain(key).collect()
}

/// Keys of [control] that differ and take a restart, for the answer to a reload.
pub fn restart_wanted(old: &Control, new: &Control) -> Vec<&'static str> {
    let bounds = |it: &Control| settings_of(it);
    let bind = |it: &Control| it.http.as_ref().map(http_settings);
    let mut keys = Vec::new();
    if old.socket != new.socket {
        keys.push("control.socket");
    }
    if bind(old) != bind(new) {
        keys.push("control.http.bind");
    }
    if bounds(old) != bounds(new) || old.max_alarms != new.max_alarms {
        keys.push("control: the limits");
    }
    keys
}

fn settings_of(control: &Control) -> Settings {
    Settings {
        max_connections: control.max_connections,
        max_body_bytes: control.max_body_bytes,
        max_bytes_of_all_bodies: control.max_bytes_of_all_bodies,
        head_timeout: control.head_timeout,
        body_timeout: control.body_timeout,
        connection_time: control.connection_time,
    }
}

fn http_settings(http: &ControlHttp) -> HttpSettings {
    HttpSettings {
        bind: http.bind,
        max_connections_per_address: http.max_connections_per_address,
        max_refused_addresses: http.max_refused_addresses,
    }
}

fn tls(http: &ControlHttp) -> Result<Shown, TlsError> {
    let tls = ServerTls::load(&ServerSettings {
        certificate: http.certificate.clone(),
        key: http.key.clone(),
        client_ca: None,
        client_certificate: ClientCertificate::None,
        peers: Vec::new(),
    })?;
    let chain = certificate::read(&http.certificate)?;
    let ends = chain.iter().map(|one| one.not_after.unix_timestamp()).min();
    Ok(Shown { tls, file: http.certificate.clone(), ends })
}

fn access(control: &Control) -> Result<Access, DoorError> {
    let tokens = control.tokens.iter().map(token).collect::<Result<_, _>>()?;
    let allow_from = control.http.as_ref().map(|http| http.allow_from.clone()).unwrap_or_default();
    Ok(Access { allow_from, tokens: Tokens(tokens) })
}

fn token(token: &ControlToken) -> Result<Token, DoorError> {
    let ControlToken { name, file, scope, tenants } = token;
    let unreadable = |error| DoorError::Unreadable { name: Arc::clone(name), file: file.clone(), error };
    let text = read(file).map_err(unreadable)?;
    let scope = match scope {
        ControlScope::Presence => Scope::Presence,
        ControlScope::Read => Scope::Read,
        ControlScope::Change => Scope::Change,
        ControlScope::Admin => Scope::Admin,
    };
    let tenants = tenants.as_ref().map(|all| all.as_slice().into());
    let no_good = |fault| DoorError::Secret { name: Arc::clone(name), file: file.clone(), fault };
    Token::new(Arc::clone(name), &text, scope, tenants).map_err(no_good)
}

fn read(file: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(file)?.take(MAX_SECRET_FILE).read_to_string(&mut text)?;
    Ok(text)
}
