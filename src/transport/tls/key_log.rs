//! The secrets of TLS sessions in a file, in the format of NSS that wireshark and tshark read: with it a capture can be
//! decrypted. Whoever has the file can read everything, so it is off unless an operator names one.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Lines that wait for the disk at most; a handshake makes up to five.
const WAITING: usize = 1024;

/// Only the user that runs the edge reads and writes it.
const MODE: u32 = 0o600;

/// The file that secrets are written to. Clones write to the same one.
#[derive(Clone)]
pub struct KeyLog {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    lines: SyncSender<String>,
    lost: Arc<AtomicU64>,
}

impl KeyLog {
    /// Opens the file for appending, and makes it if it is not there.
    ///
    /// # Errors
    /// When the file cannot be opened, or others may read it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).mode(MODE).open(path)?;
        let metadata = file.metadata()?;
        let others = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o077;
        if metadata.is_file() && others != 0 {
            return Err(io::Error::other(format!("others may read or write it (mode {:o}): chmod 600", others | MODE)));
        }
        let (lines, waiting) = sync_channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let counting = Arc::clone(&lost);
        std::thread::Builder::new().name("key-log".to_owned()).spawn(move || write(file, &waiting, &counting))?;
        Ok(Self { inner: Arc::new(Inner { path: path.to_owned(), lines, lost }) })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Lines that the disk did not take.
    pub fn lost(&self) -> u64 {
        self.inner.lost.load(Ordering::Relaxed)
    }
}

/// Neither path nor anything of a session: this may stand in the text of a configuration.
impl std::fmt::Debug for KeyLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyLog")
    }
}

impl rustls::KeyLog for KeyLog {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let mut line = String::with_capacity(label.len() + 2 * (client_random.len() + secret.len()) + 3);
        line.push_str(label);
        for bytes in [client_random, secret] {
            line.push(' ');
            for byte in bytes {
                // Writing to a string does not fail.
                let _ = write!(line, "{byte:02x}");
            }
        }
        line.push('\n');
        // A handshake does not wait for a disk.
        if self.inner.lines.try_send(line).is_err() {
            self.inner.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Writes line by line, as long as somebody may log.
fn write(mut file: File, lines: &Receiver<String>, lost: &AtomicU64) {
    while let Ok(line) = lines.recv() {
        if file.write_all(line.as_bytes()).is_err() {
            lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::{Duration, Instant};

    use rustls::KeyLog as _;

    use super::*;

    fn lines(path: &Path, count: usize) -> Vec<String> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let text = std::fs::read_to_string(path).unwrap();
            if text.lines().count() >= count && text.ends_with('\n') {
                return text.lines().map(str::to_owned).collect();
            }
            assert!(Instant::now() < deadline, "{text}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn lines_are_appended_in_the_form_of_nss_and_nobody_else_reads_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.log");
        for round in 1..=2 {
            let log = KeyLog::open(&path).unwrap();
            log.log("CLIENT_RANDOM", &[0, 0xab], &[round, 0xff]);
            assert_eq!(lines(&path, usize::from(round)).len(), usize::from(round));
            assert_eq!((log.path(), log.lost()), (&*path, 0));
        }
        assert_eq!(lines(&path, 2), ["CLIENT_RANDOM 00ab 01ff", "CLIENT_RANDOM 00ab 02ff"]);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_others_may_read_is_not_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.log");
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let fault = KeyLog::open(&path).unwrap_err().to_string();
        assert!(fault.contains("chmod 600"), "{fault}");
        assert!(KeyLog::open(dir.path()).is_err());
    }
}
