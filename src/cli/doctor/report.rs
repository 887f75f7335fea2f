//! The steps and how they are shown.

use serde::Serialize;

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Step {
    /// What it belongs to: `configuration`, `names`, `targets`.
    pub area: &'static str,
    /// What was looked at.
    pub subject: String,
    pub verdict: Verdict,
    /// What was found.
    pub text: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Step {
    fn new(area: &'static str, subject: &str, verdict: Verdict, text: impl Into<String>) -> Self {
        Self { area, subject: subject.to_owned(), verdict, text: text.into(), advice: None }
    }

    pub(super) fn ok(area: &'static str, subject: &str, text: impl Into<String>) -> Self {
        Self::new(area, subject, Verdict::Ok, text)
    }

    pub(super) fn warn(area: &'static str, subject: &str, text: impl Into<String>) -> Self {
        Self::new(area, subject, Verdict::Warn, text)
    }

    pub(super) fn fail(area: &'static str, subject: &str, text: impl Into<String>) -> Self {
        Self::new(area, subject, Verdict::Fail, text)
    }

    /// The same with what to do.
    pub(super) fn advise(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }
}

/// All steps, in the order in which they were done.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    steps: Vec<Step>,
}

impl Report {
    pub(super) fn add(&mut self, step: Step) {
        self.steps.push(step);
    }

    pub(super) fn has_failed(&self) -> bool {
        self.steps.iter().any(|step| step.verdict == Verdict::Fail)
    }

    #[cfg(test)]
    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// For people: areas, steps below them, and a last line that counts.
    pub(super) fn words(&self) -> String {
        let mut text = String::new();
        let mut area = "";
        for step in &self.steps {
            if step.area != area {
                area = step.area;
                text.push_str(area);
                text.push('\n');
            }
            let verdict = match step.verdict {
                Verdict::Ok => "ok  ",
                Verdict::Warn => "warn",
                Verdict::Fail => "FAIL",
            };
            text.push_str(&format!("  {verdict}  {}: {}\n", step.subject, step.text));
            if let Some(advice) = &step.advice {
                text.push_str(&format!("        do: {advice}\n"));
            }
        }
        let count = |verdict| self.steps.iter().filter(|step| step.verdict == verdict).count();
        let [ok, warn, fail] = [Verdict::Ok, Verdict::Warn, Verdict::Fail].map(count);
        text.push_str(&format!("{} steps: {ok} ok, {warn} to look at, {fail} failed\n", self.steps.len()));
        text
    }
}
