//! Many questions at once: lines in, lines out in the same order, on as many threads as there are.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::thread;

use serde::Serialize;

use super::Oracle;
use crate::call::explain::Ask;
use crate::cli::{EXIT_FAULTS, Output};

/// Bytes of a line; what is longer is no question.
const MAX_LINE: usize = 16 << 10;
/// Lines that a thread answers before the next ones are read.
const LINES: usize = 2_048;

/// A question that has no answer.
#[derive(Debug, Serialize)]
struct Fault<'a> {
    error: &'a str,
    /// From one.
    line: u64,
}

/// Answers what stands in a file, or on standard input for `-`.
pub(super) fn from_file(oracle: &impl Oracle, file: &Path, now: u64) -> ExitCode {
    let out = io::stdout().lock();
    let done = if file == Path::new("-") {
        answer(oracle, io::stdin().lock(), out, now)
    } else {
        File::open(file).and_then(|file| answer(oracle, BufReader::with_capacity(1 << 16, file), out, now))
    };
    match done {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(EXIT_FAULTS),
        // A reader that has gone away, such as `head`, has seen what it wanted.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => Output::fault(format!("{}: {error}\n", file.display())).print(),
    }
}

/// Answers line by line; gives how many of them had no answer.
pub(super) fn answer(oracle: &impl Oracle, mut input: impl BufRead, mut out: impl Write, now: u64) -> io::Result<u64> {
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (mut line, mut faults) = (1, 0);
    loop {
        let mut chunks = Vec::with_capacity(threads);
        let mut over = false;
        while chunks.len() < threads && !over {
            let chunk = Chunk::read(&mut input, line)?;
            over = chunk.lines.len() < LINES;
            line += chunk.lines.len() as u64;
            chunks.push(chunk);
        }
        let answers: Vec<(Vec<u8>, u64)> = thread::scope(|scope| {
            let workers: Vec<_> = chunks.iter().map(|chunk| scope.spawn(|| chunk.answer(oracle, now))).collect();
            workers
                .into_iter()
                .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        });
        for (text, bad) in answers {
            out.write_all(&text)?;
            faults += bad;
        }
        if over {
            out.flush()?;
            return Ok(faults);
        }
    }
}

/// Some lines, for one thread.
#[derive(Debug, Default)]
struct Chunk {
    text: Vec<u8>,
    /// Where each ends in `text`; `None`: it was too long and is not in it.
    lines: Vec<Option<usize>>,
    /// The number of the first.
    first: u64,
}

impl Chunk {
    /// Reads up to [`LINES`] lines; fewer at the end.
    fn read(input: &mut impl BufRead, first: u64) -> io::Result<Self> {
        let mut chunk = Self { first, ..Self::default() };
        while chunk.lines.len() < LINES {
            let start = chunk.text.len();
            let read = input.by_ref().take(MAX_LINE as u64 + 1).read_until(b'\n', &mut chunk.text)?;
            if read == 0 {
                break;
            }
            if read > MAX_LINE && chunk.text.last() != Some(&b'\n') {
                chunk.text.truncate(start);
                chunk.lines.push(None);
                input.skip_until(b'\n')?;
            } else {
                chunk.lines.push(Some(chunk.text.len()));
            }
        }
        Ok(chunk)
    }

    /// The answers, and how many of the lines had none.
    fn answer(&self, oracle: &impl Oracle, now: u64) -> (Vec<u8>, u64) {
        let mut out = Vec::with_capacity(self.lines.len() * 512);
        let (mut start, mut faults) = (0, 0);
        for (number, end) in (self.first..).zip(&self.lines) {
            let line = end.map(|end| {
                let line = self.text.get(start..end).unwrap_or_default();
                start = end;
                line.trim_ascii()
            });
            let answer = match line {
                None => Err(format!("the line is longer than {MAX_LINE} bytes")),
                Some([]) => Err("the line is empty".to_owned()),
                Some(line) => serde_json::from_slice::<Ask>(line)
                    .map_err(|error| error.to_string())
                    .and_then(|ask| oracle.explain(&ask, now)),
            };
            // Our values have string keys only, and memory takes what is written.
            let written = match &answer {
                Ok(explained) => serde_json::to_writer(&mut out, explained),
                Err(error) => {
                    faults += 1;
                    serde_json::to_writer(&mut out, &Fault { error, line: number })
                }
            };
            debug_assert!(written.is_ok(), "a value that is no JSON");
            out.push(b'\n');
        }
        (out, faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::explain::{Explained, Verdict};

    /// Answers with the called number as the reason.
    struct Echo;

    impl Oracle for Echo {
        fn explain(&self, ask: &Ask, now: u64) -> Result<Explained, String> {
            let reason = ask.called.clone().ok_or_else(|| format!("nobody is called at {now}"))?;
            Ok(Explained {
                decision: Verdict::Reject,
                code: None,
                reason,
                tenant: None,
                site: None,
                rule: None,
                matched: None,
                targets: Vec::new(),
                steps: Vec::new(),
                near: Vec::new(),
            })
        }
    }

    fn answers(input: &str) -> (Vec<serde_json::Value>, u64) {
        let mut out = Vec::new();
        let faults = answer(&Echo, input.as_bytes(), &mut out, 7).unwrap();
        let lines = out.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        (lines.map(|line| serde_json::from_slice(line).unwrap()).collect(), faults)
    }

    #[test]
    fn answers_come_in_the_order_of_the_questions() {
        let count = LINES * 9 + 3;
        let input: String =
            (0..count).map(|number| format!("{{\"from_trunk\":\"a\",\"called\":\"{number}\"}}\n")).collect();
        let (answers, faults) = answers(&input);
        assert_eq!((answers.len(), faults), (count, 0));
        for (number, answer) in answers.iter().enumerate() {
            assert_eq!(answer["reason"], number.to_string());
        }
    }

    #[test]
    fn bad_lines_are_named_and_the_others_answered() {
        let long = format!("{{\"from_trunk\":\"{}\",\"called\":\"1\"}}", "a".repeat(MAX_LINE));
        let good = "{\"from_trunk\":\"a\",\"called\":\"1\"}";
        let input = format!("{good}\r\nnonsense\n\n{long}\n{{\"from_trunk\":\"a\"}}\n{{\"from\":\"a\"}}\n{good}");
        let (answers, faults) = answers(&input);
        assert_eq!((answers.len(), faults), (7, 5));
        assert_eq!((&answers[0]["reason"], &answers[6]["reason"]), (&"1".into(), &"1".into()));
        for (index, error) in
            [(1, "expected"), (2, "empty"), (3, "longer"), (4, "nobody is called at 7"), (5, "unknown field `from`")]
        {
            assert_eq!(answers[index]["line"], index + 1);
            assert!(answers[index]["error"].as_str().unwrap().contains(error), "{:?}", answers[index]);
        }
    }
}
