//! Prometheus' text format 0.0.4, as it is written.

use std::fmt::{self, Write};

use super::Buckets;

/// What writes series of its own onto the page, each time that it is read.
///
/// The exporter keeps a series for as long as the process lives. What has the name of a trunk, a target or a tenant on
/// it goes here instead, and is gone with its trunk, target or tenant.
pub trait Series: Send + Sync {
    /// Writes whole families: a family that two write would stand twice on the page, which Prometheus refuses.
    fn write(&self, page: &mut Page);
}

/// What the values of a family mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A page that is being written.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

impl Page {
    /// A page that goes on behind what somebody else has written.
    pub fn behind(text: String) -> Self {
        Self { text }
    }

    /// Begins a family: all its samples follow before the next one begins. Without samples it leaves no trace.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &'static str) -> Family<'_> {
        Family { page: self, name, kind, help, begun: false }
    }

    /// A family of one gauge without labels.
    pub fn gauge(&mut self, name: &'static str, help: &'static str, value: f64) {
        self.family(name, Kind::Gauge, help).sample(&[], value);
    }

    /// A family of one counter without labels.
    pub fn counter(&mut self, name: &'static str, help: &'static str, value: u64) {
        self.family(name, Kind::Counter, help).count(&[], value);
    }

    /// What was written.
    pub fn into_text(self) -> String {
        self.text
    }
}

/// A label's name and its value.
pub type Label<'a> = (&'static str, &'a str);

/// A family whose samples are being written.
#[derive(Debug)]
pub struct Family<'a> {
    page: &'a mut Page,
    name: &'static str,
    kind: Kind,
    help: &'static str,
    begun: bool,
}

impl Family<'_> {
    /// Writes a sample.
    pub fn sample(&mut self, labels: &[Label<'_>], value: f64) {
        self.line("", labels, None, Number(value));
    }

    /// Writes a sample that is a whole number.
    pub fn count(&mut self, labels: &[Label<'_>], value: u64) {
        self.line("", labels, None, value);
    }

    /// Writes a histogram.
    pub fn histogram(&mut self, labels: &[Label<'_>], buckets: &Buckets) {
        for (bound, count) in buckets.cumulative() {
            self.line("_bucket", labels, Some(bound), count);
        }
        self.line("_bucket", labels, Some(f64::INFINITY), buckets.count());
        self.line("_sum", labels, None, Number(buckets.sum()));
        self.line("_count", labels, None, buckets.count());
    }

    fn line(&mut self, suffix: &str, labels: &[Label<'_>], bound: Option<f64>, value: impl fmt::Display) {
        let (name, text) = (self.name, &mut self.page.text);
        if !self.begun {
            self.begun = true;
            let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} {}", self.help, self.kind.word());
        }
        text.push_str(name);
        text.push_str(suffix);
        if !labels.is_empty() || bound.is_some() {
            text.push('{');
            for (index, (name, value)) in labels.iter().enumerate() {
                text.push_str(if index > 0 { "," } else { "" });
                text.push_str(name);
                text.push_str("=\"");
                escape(text, value);
                text.push('"');
            }
            if let Some(bound) = bound {
                text.push_str(if labels.is_empty() { "" } else { "," });
                let _ = write!(text, "le=\"{}\"", Number(bound));
            }
            text.push('}');
        }
        // Writing to a string cannot fail.
        let _ = writeln!(text, " {value}");
    }
}

/// A label's value with what would end it escaped.
fn escape(text: &mut String, value: &str) {
    for letter in value.chars() {
        match letter {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            _ => text.push(letter),
        }
    }
}

/// A number as Prometheus writes it.
struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            value if value.is_nan() => f.write_str("NaN"),
            f64::INFINITY => f.write_str("+Inf"),
            f64::NEG_INFINITY => f.write_str("-Inf"),
            value => write!(f, "{value}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_have_one_head_and_values_are_escaped() {
        let mut page = Page::behind("before 1\n".to_owned());
        let mut family = page.family("calls_total", Kind::Counter, "Calls");
        family.count(&[("trunk", "a\"b\\c\nd"), ("tenant", "")], 3);
        family.count(&[], 4);
        page.gauge("ratio", "A ratio", f64::NAN);
        page.family("nothing", Kind::Gauge, "Never seen");
        assert_eq!(
            page.into_text(),
            "before 1\n# HELP calls_total Calls\n# TYPE calls_total counter\n\
             calls_total{trunk=\"a\\\"b\\\\c\\nd\",tenant=\"\"} 3\ncalls_total 4\n\
             # HELP ratio A ratio\n# TYPE ratio gauge\nratio NaN\n"
        );
    }

    #[test]
    fn a_histogram_is_cumulative_and_ends_at_infinity() {
        const BOUNDS: &[f64] = &[0.5, 1.0];
        let mut buckets = Buckets::new(BOUNDS);
        [0.5, 0.75, 9.0].into_iter().for_each(|value| buckets.record(value));
        let mut page = Page::default();
        page.family("wait_seconds", Kind::Histogram, "Wait").histogram(&[("trunk", "a")], &buckets);
        let text = page.into_text();
        let lines: Vec<_> = text.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "wait_seconds_bucket{trunk=\"a\",le=\"0.5\"} 1",
                "wait_seconds_bucket{trunk=\"a\",le=\"1\"} 2",
                "wait_seconds_bucket{trunk=\"a\",le=\"+Inf\"} 3",
                "wait_seconds_sum{trunk=\"a\"} 10.25",
                "wait_seconds_count{trunk=\"a\"} 3",
            ]
        );
    }
}
