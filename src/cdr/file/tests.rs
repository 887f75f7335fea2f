use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::AtomicU64;

use super::*;
use crate::cdr::entry::tests::{answered, read_back, rows, style};

const DAY_MS: u64 = 86_400_000;

/// A directory with a file of records, and a clock of the test's own.
struct Desk {
    directory: tempfile::TempDir,
    now: Arc<AtomicU64>,
    orders: Arc<FileOrders>,
    file: RecordFile,
    kept: usize,
}

impl Desk {
    fn new(change: impl FnOnce(&mut FileSettings)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = FileSettings {
            path: directory.path().join("log").join("calls.jsonl"),
            format: Format::Json,
            max_bytes: 1 << 20,
            rotate: Rotate::Daily,
            keep: 30,
            sync: Duration::from_secs(1),
            style: style(),
        };
        change(&mut settings);
        // The day of the files' own times, so that a file that is taken up is of today.
        let today = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() * 1_000;
        let now = Arc::new(AtomicU64::new(today));
        let orders = FileOrders::new(settings);
        let file = Self::open(&orders, &now);
        Self { directory, now, orders, file, kept: 0 }
    }

    fn open(orders: &Arc<FileOrders>, now: &Arc<AtomicU64>) -> RecordFile {
        let now = Arc::clone(now);
        RecordFile::new(Arc::clone(orders), Box::new(move || now.load(Ordering::Relaxed)))
    }

    fn restart(&mut self) {
        self.file = Self::open(&self.orders, &self.now);
    }

    fn folder(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    fn path(&self) -> PathBuf {
        self.orders.settings().path.clone()
    }

    fn give(&mut self, ids: std::ops::Range<u64>) -> Result<(), String> {
        let records: Vec<Arc<Over>> = ids.map(|id| Arc::new(answered(id, 1_000))).collect();
        self.kept = 0;
        self.file.keep(&records, &mut self.kept)
    }

    /// The files with the ids of their calls, the one that is written last.
    fn files(&self) -> Vec<(String, Vec<u64>)> {
        let mut names: Vec<String> = std::fs::read_dir(self.folder())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_by_key(|name| (!name.contains('-'), name.clone()));
        names.into_iter().map(|name| (name.clone(), ids(&self.folder().join(name)))).collect()
    }
}

fn ids(path: &Path) -> Vec<u64> {
    let text = std::fs::read_to_string(path).unwrap();
    let id = |line: &str| {
        let entry: Entry = serde_json::from_str(line).unwrap();
        u64::from_str_radix(&entry.call, 16).unwrap()
    };
    text.lines().map(id).collect()
}

#[test]
fn a_file_is_closed_at_midnight_and_the_oldest_go() {
    let mut desk = Desk::new(|settings| settings.keep = 2);
    for day in 0..4 {
        desk.give(day * 10..day * 10 + 2).unwrap();
        desk.now.fetch_add(DAY_MS, Ordering::Relaxed);
    }
    // Nobody calls on the last day: the file is closed all the same.
    desk.file.tend().unwrap();
    let files = desk.files();
    let ids: Vec<_> = files.iter().map(|(_, ids)| ids.clone()).collect();
    assert_eq!(ids, [vec![20, 21], vec![30, 31], vec![]], "{files:?}");
    assert_eq!(files[2].0, "calls.jsonl");
    let mode = std::fs::metadata(desk.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777 & !0o640, 0, "{mode:o}");
}

#[test]
fn a_file_that_is_full_is_closed_and_no_record_is_torn() {
    let mut desk = Desk::new(|settings| (settings.max_bytes, settings.rotate) = (4_096, Rotate::Never));
    desk.give(0..40).unwrap();
    desk.now.fetch_add(400 * DAY_MS, Ordering::Relaxed);
    desk.give(40..41).unwrap();
    assert_eq!(desk.kept, 1);
    let files = desk.files();
    assert!(files.len() > 5, "{files:?}");
    let mut all: Vec<u64> = files.iter().flat_map(|(_, ids)| ids.clone()).collect();
    all.sort_unstable();
    assert_eq!(all, (0..41).collect::<Vec<_>>());
    for (name, _) in &files {
        assert!(std::fs::metadata(desk.folder().join(name)).unwrap().len() <= 4_096, "{name}");
    }
}

#[test]
fn a_file_that_was_moved_away_is_begun_anew_and_so_it_is_on_command() {
    let mut desk = Desk::new(|_| ());
    desk.give(0..1).unwrap();
    let moved = desk.folder().join("moved");
    std::fs::rename(desk.path(), &moved).unwrap();
    desk.file.tend().unwrap();
    desk.give(1..2).unwrap();
    assert_eq!((ids(&moved), ids(&desk.path())), (vec![0], vec![1]));
    let settings = FileSettings { format: Format::Csv, ..FileSettings::clone(&desk.orders.settings()) };
    desk.orders.set(settings);
    desk.file.tend().unwrap();
    desk.give(2..4).unwrap();
    let text = std::fs::read_to_string(desk.path()).unwrap();
    let rows = rows(&text);
    assert_eq!(rows.len(), 3, "a line of names: {text}");
    assert_eq!(read_back(&rows[0], &rows[2]), Entry::of(&answered(3, 1_000), &style()));
    desk.restart();
    desk.give(4..5).unwrap();
    assert_eq!(std::fs::read_to_string(desk.path()).unwrap().lines().count(), 4, "names stand once");
    assert_eq!(std::fs::read_dir(desk.folder()).unwrap().count(), 3, "the file of the other format is aside");
}

#[test]
fn what_a_killed_process_left_of_a_line_is_cut_off() {
    let mut desk = Desk::new(|_| ());
    desk.give(0..2).unwrap();
    let whole = std::fs::read(desk.path()).unwrap();
    for torn in [&whole[..whole.len() - 1], &whole[..whole.len() / 2 + 9]] {
        std::fs::write(desk.path(), torn).unwrap();
        desk.restart();
        desk.give(7..8).unwrap();
        assert_eq!(ids(&desk.path()), [0, 7]);
    }
}

#[test]
fn a_place_that_takes_nothing_is_told_and_taken_up_when_it_does() {
    let mut desk = Desk::new(|_| ());
    std::fs::write(desk.folder(), "a file where the directory should be").unwrap();
    let fault = desk.give(0..3).unwrap_err();
    assert!(fault.contains("calls.jsonl: "), "{fault}");
    assert_eq!(desk.kept, 0);
    std::fs::remove_file(desk.folder()).unwrap();
    desk.give(0..3).unwrap();
    assert_eq!(ids(&desk.path()), [0, 1, 2]);
}

#[test]
fn a_device_without_room_is_told() {
    let mut desk = Desk::new(|settings| settings.path = PathBuf::from("/dev/full"));
    assert!(desk.give(0..1).unwrap_err().contains("No space left"));
    assert_eq!(desk.kept, 0);
}
