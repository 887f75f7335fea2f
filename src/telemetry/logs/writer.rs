//! A thread that writes lines, and the bounded queue before it.

use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// Where lines go.
#[derive(Clone, Debug)]
pub enum Sink {
    /// The socket of the journal: a datagram for each.
    Journal(PathBuf),
    Stderr,
    /// A file, pipe or terminal.
    #[cfg(test)]
    File(Arc<std::fs::File>),
}

/// Where lines wait.
#[derive(Debug)]
pub struct Writer {
    sender: SyncSender<Vec<u8>>,
    said: AtomicU64,
    written: Arc<AtomicU64>,
    dropped: AtomicU64,
}

impl Writer {
    /// Starts the thread; `queue` lines may wait.
    pub fn start(sink: Sink, queue: usize) -> std::io::Result<Arc<Self>> {
        let (sender, receiver) = sync_channel(queue);
        let written = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&written);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || serve(&receiver, &sink, &counter))?;
        let (said, dropped) = Default::default();
        Ok(Arc::new(Self { sender, said, written, dropped }))
    }

    /// Gives a line; without room it is dropped and counted. Never waits.
    pub fn give(&self, line: Vec<u8>) {
        let count = if self.sender.try_send(line).is_ok() { &self.said } else { &self.dropped };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Lines that found no room.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until what was given is written, for `patience` at most.
    pub fn flush(&self, patience: Duration) {
        let until = Instant::now() + patience;
        while self.written.load(Ordering::Acquire) < self.said.load(Ordering::Relaxed) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn serve(receiver: &Receiver<Vec<u8>>, sink: &Sink, written: &AtomicU64) {
    let mut journal = None;
    while let Ok(line) = receiver.recv() {
        // A log that cannot be written has nobody to be told of it.
        match sink {
            Sink::Journal(path) => send(&mut journal, path, &line),
            Sink::Stderr => {
                let _ = std::io::stderr().lock().write_all(&line);
            }
            #[cfg(test)]
            Sink::File(file) => {
                let _ = (&**file).write_all(&line);
            }
        }
        written.fetch_add(1, Ordering::Release);
    }
}

fn send(journal: &mut Option<UnixDatagram>, path: &Path, line: &[u8]) {
    // The journal may have been restarted since the last line: then it is another socket.
    for _ in 0..2 {
        if journal.is_none() {
            *journal = UnixDatagram::unbound().and_then(|it| it.connect(path).map(|()| it)).ok();
        }
        match journal.as_ref().map(|socket| socket.send(line)) {
            Some(Ok(_)) => return,
            Some(Err(_)) | None => *journal = None,
        }
    }
}
