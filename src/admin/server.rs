//! The socket and its connections.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Settings;
use super::access::Caller;
use super::control::Control;
use super::routes;

/// Owner and group may come in.
const MODE: u32 = 0o660;

/// How long to wait when the system has no file descriptor for one more connection.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Bytes of a request's head.
const MAX_HEAD: usize = 64 * 1024;

/// Why the door does not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    #[error("cannot {what} {path}: {error}", path = path.display())]
    Io { what: &'static str, path: PathBuf, error: io::Error },
    #[error("{path} is there and is no socket: remove it, or choose another path", path = path.display())]
    NoSocket { path: PathBuf },
    #[error("another process listens on {path}", path = path.display())]
    Taken { path: PathBuf },
    #[error("cannot open the control port {addr}: {error}")]
    Port { addr: SocketAddr, error: io::Error },
}

/// The open door; the socket is removed when it is dropped.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    settings: Settings,
    _name: Name,
}

/// A socket's name in the file system, as long as it is this one's.
#[derive(Debug)]
struct Name {
    path: PathBuf,
    inode: (u64, u64),
}

impl Server {
    /// Opens the socket, with mode 0660; one that a process left behind that listens no more is replaced. Needs a
    /// runtime.
    ///
    /// # Errors
    /// [`BindError`], also when somebody listens there.
    pub fn bind(path: &Path, settings: Settings) -> Result<Self, BindError> {
        give_way(path)?;
        // The name appears when the mode is right, so that nobody comes in before.
        let mut draft = path.to_owned().into_os_string();
        draft.push(format!(".{}", std::process::id()));
        let draft = PathBuf::from(draft);
        let io = |what, path: &Path| {
            let path = path.to_owned();
            move |error| BindError::Io { what, path, error }
        };
        let _ = fs::remove_file(&draft);
        let listener = UnixListener::bind(&draft).map_err(io("open", path))?;
        let named = fs::set_permissions(&draft, fs::Permissions::from_mode(MODE))
            .and_then(|()| fs::metadata(&draft))
            .and_then(|metadata| fs::rename(&draft, path).map(|()| metadata));
        let metadata = named.map_err(|error| {
            let _ = fs::remove_file(&draft);
            io("open", path)(error)
        })?;
        let name = Name { path: path.to_owned(), inode: (metadata.dev(), metadata.ino()) };
        Ok(Self { listener, settings, _name: name })
    }

    /// Serves until it is dropped.
    pub async fn serve(self, control: Arc<dyn Control>) {
        let router = routes::router(control, &self.settings);
        let room = Arc::new(Semaphore::new(self.settings.max_connections));
        let mut connections = JoinSet::new();
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::debug!(%error, "accepting on the control socket");
                    tokio::time::sleep(EXHAUSTED).await;
                    continue;
                }
            };
            while connections.try_join_next().is_some() {}
            let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
                tracing::debug!("a connection too many on the control socket");
                continue;
            };
            let (router, settings) = (router.clone(), self.settings.clone());
            connections.spawn(async move {
                let _ = tokio::time::timeout(settings.connection_time, welcome(stream, router, &settings)).await;
                drop(place);
            });
        }
    }
}

/// Answers the requests of one connection over the socket.
async fn welcome(stream: UnixStream, router: Router, settings: &Settings) {
    let Ok(credentials) = stream.peer_cred() else { return };
    converse(stream, router.layer(Extension(Caller::local(credentials.uid()))), settings).await;
}

/// Answers the requests of one connection.
pub(super) async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, router: Router, settings: &Settings) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(settings.head_timeout).max_buf_size(MAX_HEAD);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection for operators");
    }
}

/// Makes sure that nobody listens at a path, and that what is there may be replaced.
fn give_way(path: &Path) -> Result<(), BindError> {
    let fault = |error| BindError::Io { what: "open", path: path.to_owned(), error };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(fault(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(BindError::NoSocket { path: path.to_owned() });
        }
        Ok(_) => {}
    }
    match net::UnixStream::connect(path) {
        Ok(_) => Err(BindError::Taken { path: path.to_owned() }),
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound) => Ok(()),
        Err(error) => Err(fault(error)),
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let own = |metadata: &fs::Metadata| (metadata.dev(), metadata.ino()) == self.inode;
        if fs::symlink_metadata(&self.path).is_ok_and(|metadata| own(&metadata)) {
            let _ = fs::remove_file(&self.path);
        }
    }
}
