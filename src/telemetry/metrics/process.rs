//! The process as the system sees it, under the names that all of Prometheus' client libraries use (proc(5)).

use std::fs;

use super::page::{Page, Series};

/// Ticks of `/proc` in a second: fixed for programs by the kernel on all processors that Linux runs on today.
const TICKS_PER_SECOND: f64 = 100.0;

/// This process, read anew each time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process;

impl Series for Process {
    fn write(&self, page: &mut Page) {
        let read = |name: &str| fs::read_to_string(format!("/proc/{name}")).unwrap_or_default();
        let stat = Stat::read(&read("self/stat"));
        if let Some(Stat { cpu, threads, started }) = stat {
            page.family("process_cpu_seconds_total", super::Kind::Counter, "Processor time used, user and system")
                .sample(&[], cpu);
            page.gauge("process_threads", "Threads of the process", threads);
            if let Some(boot) = value(&read("stat"), "btime") {
                let name = "process_start_time_seconds";
                page.gauge(name, "When the process was started, in seconds since 1970", boot + started);
            }
        }
        let status = read("self/status");
        let kib = |page: &mut Page, key, name, help| {
            if let Some(kib) = value(&status, key) {
                page.gauge(name, help, kib * 1024.0);
            }
        };
        kib(page, "VmRSS:", "process_resident_memory_bytes", "Memory that is in use");
        kib(page, "VmSize:", "process_virtual_memory_bytes", "Address space that is in use");
        if let Ok(files) = fs::read_dir("/proc/self/fd") {
            // The directory that is being read is one of them.
            page.gauge("process_open_fds", "Open file descriptors", files.count().saturating_sub(1) as f64);
        }
        if let Some(most) = value(&read("self/limits"), "Max open files") {
            page.gauge("process_max_fds", "How many file descriptors may be open", most);
        }
    }
}

/// The number behind a key at the start of a line.
fn value(text: &str, key: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// What is read of `/proc/self/stat`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stat {
    /// Processor time in seconds.
    cpu: f64,
    threads: f64,
    /// Seconds between the start of the machine and that of the process.
    started: f64,
}

impl Stat {
    fn read(text: &str) -> Option<Self> {
        // The name of the program stands in brackets and may hold blanks and brackets itself.
        let (_, rest) = text.rsplit_once(')')?;
        // Fields are numbered from 1 in proc(5); the first behind the name is number 3.
        let field = |number: usize| rest.split_whitespace().nth(number - 3)?.parse::<f64>().ok();
        Some(Self {
            cpu: (field(14)? + field(15)?) / TICKS_PER_SECOND,
            threads: field(20)?,
            started: field(22)? / TICKS_PER_SECOND,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_programs_name_may_look_like_fields() {
        let text =
            "7 (a) b (c)) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 12345 1000 200 18446744073709551615";
        assert_eq!(Stat::read(text), Some(Stat { cpu: 3.0, threads: 4.0, started: 123.45 }));
        assert_eq!(Stat::read("7 (a) S 1"), None);
    }

    #[test]
    fn this_process_has_all_of_them() {
        let mut page = Page::default();
        Process.write(&mut page);
        let text = page.into_text();
        let number = |name: &str| value(&text, name).unwrap_or_else(|| panic!("no {name} in {text}"));
        assert!(number("process_resident_memory_bytes ") > 100_000.0);
        assert!(number("process_virtual_memory_bytes ") >= number("process_resident_memory_bytes "));
        assert!(number("process_open_fds ") > 0.0 && number("process_open_fds ") < number("process_max_fds "));
        assert!(number("process_threads ") >= 1.0);
        assert!(number("process_start_time_seconds ") > 1.6e9);
        assert!(number("process_cpu_seconds_total ") >= 0.0);
    }
}
