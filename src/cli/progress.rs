//! A progress bar on standard error, for people: nothing is drawn when standard error is no terminal.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// How wide the bar is, in characters.
const WIDTH: usize = 30;

/// How long the bar stays as it is.
const REFRESH: Duration = Duration::from_millis(100);

/// How many steps are taken without a look at the clock.
const STRIDE: u32 = 1024;

/// A bar, taken off the screen when it is dropped.
#[derive(Debug)]
pub(super) struct Progress {
    title: &'static str,
    total: usize,
    watched: bool,
    steps: u32,
    drawn: Option<Instant>,
}

impl Progress {
    /// A bar for something that is done when `total` is reached.
    pub(super) fn new(title: &'static str, total: usize) -> Self {
        Self { title, total, watched: io::stderr().is_terminal(), steps: 0, drawn: None }
    }

    /// Says how much is done; to be called as often as one likes.
    pub(super) fn at(&mut self, done: usize) {
        self.steps = self.steps.wrapping_add(1);
        if self.watched && self.steps.is_multiple_of(STRIDE) {
            self.draw(done);
        }
    }

    fn draw(&mut self, done: usize) {
        let now = Instant::now();
        if self.drawn.is_none_or(|drawn| now.duration_since(drawn) >= REFRESH) {
            self.drawn = Some(now);
            let _ = write!(io::stderr().lock(), "\r{}\x1b[K", bar(self.title, done, self.total));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.drawn.is_some() {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}

fn bar(title: &str, done: usize, total: usize) -> String {
    let share = |of: usize| (done.min(total) * of).checked_div(total).unwrap_or(of);
    let full = share(WIDTH);
    format!("{title} [{}{}] {:>3} %", "#".repeat(full), ".".repeat(WIDTH - full), share(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bar_grows_from_nothing_to_full() {
        assert_eq!(bar("rows", 0, 10), "rows [..............................]   0 %");
        assert_eq!(bar("rows", 5, 10), "rows [###############...............]  50 %");
        for (done, total) in [(10, 10), (11, 10), (0, 0)] {
            assert_eq!(bar("rows", done, total), "rows [##############################] 100 %");
        }
    }
}
