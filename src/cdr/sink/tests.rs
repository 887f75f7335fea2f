use super::*;
use crate::cdr::entry::tests::answered;

/// A place that takes records while its gate is open.
struct Gate {
    open: Arc<AtomicBool>,
    kept: Arc<Mutex<Vec<u64>>>,
}

impl Place for Gate {
    type Item = Arc<Over>;

    fn keep(&mut self, records: &[Arc<Over>], kept: &mut usize) -> Result<(), String> {
        for over in records {
            // One is taken before the fault shows.
            lock(&self.kept).push(over.ended_unix_ms);
            *kept += 1;
            if !self.open.load(Ordering::Relaxed) {
                return Err("no room".to_owned());
            }
        }
        Ok(())
    }

    fn tend(&mut self) -> Result<(), String> {
        Ok(())
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = now() + Duration::from_secs(30);
    while !holds() {
        assert!(now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_a_place_refuses_waits_and_nothing_is_kept_twice() {
    let (open, kept) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::default()));
    let place = Gate { open: Arc::clone(&open), kept: Arc::clone(&kept) };
    let counts = Arc::new(Counts::default());
    let sink = Sink::start("test", 100, Arc::clone(&counts), move || place).unwrap();
    (0..50).for_each(|at| sink.give(Arc::new(Over { ended_unix_ms: at, ..answered(1, 1_000) })));
    until("the fault is seen", || sink.fault().as_deref() == Some("no room"));
    open.store(true, Ordering::Relaxed);
    until("all are written", || counts.written.load(Ordering::Relaxed) == 50);
    until("the fault is over", || sink.fault().is_none());
    assert_eq!(*lock(&kept), (0..50).collect::<Vec<_>>());
    assert_eq!((counts.waiting.load(Ordering::Relaxed), counts.dropped.load(Ordering::Relaxed)), (0, 0));
}

/// A place that does not come back, as a pipe that nobody reads.
struct Stuck(std::sync::mpsc::Receiver<()>);

impl Place for Stuck {
    type Item = Arc<Over>;

    fn keep(&mut self, _: &[Arc<Over>], _: &mut usize) -> Result<(), String> {
        let _ = self.0.recv();
        Err("stuck".to_owned())
    }

    fn tend(&mut self) -> Result<(), String> {
        Ok(())
    }
}

#[test]
fn a_place_that_is_stuck_costs_records_and_nobody_waits_for_it() {
    let (let_go, stuck) = mpsc::channel();
    let counts = Arc::new(Counts::default());
    let sink = Sink::start("test", 16, Arc::clone(&counts), move || Stuck(stuck)).unwrap();
    let over = Arc::new(answered(1, 1_000));
    let begin = now();
    (0..10_000).for_each(|_| sink.give(Arc::clone(&over)));
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    let dropped = counts.dropped.load(Ordering::Relaxed);
    // What it has taken out of the queue, and what fits there, waits.
    assert!((10_000 - 16 - BATCH as u64..=10_000 - 16).contains(&dropped), "{dropped}");
    assert_eq!(dropped + counts.waiting.load(Ordering::Relaxed) as u64, 10_000);
    let ending = sink.ending();
    drop(sink);
    ending.clone().wait(Duration::from_millis(50));
    drop(let_go);
    ending.wait(Duration::from_secs(30));
    assert_eq!(counts.dropped.load(Ordering::Relaxed), 10_000, "what was given up is counted");
}
