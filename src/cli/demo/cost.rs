//! What the demo took of the machine, as the kernel counts it.

use std::time::Duration;

use serde::Serialize;

/// Clock ticks in a second in `/proc` (USER_HZ, fixed on Linux).
const TICKS: u64 = 100;

/// Processor time, memory and messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Messages that stand-ins sent and got.
    pub messages: u64,
    /// User and system time of the whole process, the stand-ins included, in milliseconds.
    pub cpu_ms: u64,
    /// Peak resident memory of the process, the stand-ins included, in KiB.
    pub peak_kib: u64,
    /// Time on the clock, in milliseconds.
    pub elapsed_ms: u64,
}

impl Cost {
    /// The process so far; zeros where `/proc` says nothing.
    pub fn now() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        Self {
            cpu_ms: cpu_ticks(&read("/proc/self/stat")).unwrap_or_default() * 1000 / TICKS,
            peak_kib: peak_kib(&read("/proc/self/status")).unwrap_or_default(),
            ..Self::default()
        }
    }

    /// The difference to an earlier moment.
    pub fn since(self, before: Self, messages: u64, elapsed: Duration) -> Self {
        Self {
            messages,
            cpu_ms: self.cpu_ms.saturating_sub(before.cpu_ms),
            peak_kib: self.peak_kib,
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// Fields 14 and 15 of proc(5) stat: they stand behind the command's name, which may hold anything up to the last `)`.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

fn peak_kib(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_files_are_read() {
        assert_eq!(cpu_ticks("7 (a) b) S 1 2 3 4 5 6 7 8 9 10 30 12 0 0 20"), Some(42));
        assert_eq!(peak_kib("Name: x\nVmHWM:\t  2048 kB\n"), Some(2048));
        assert_eq!((cpu_ticks(""), peak_kib("")), (None, None));
        assert!(Cost::now().peak_kib > 0);
    }
}
