//! What is wrong with a configuration: every fault with its file, line and column, drawn with a caret or told as JSON.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration is not taken.
    Error,
    /// It is taken, but does what the operator may not want.
    Warning,
}

/// A place in a file, with the line that it is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Excerpt {
    pub file: String,
    /// `None`: the file as a whole.
    #[serde(flatten)]
    pub position: Option<Position>,
    /// What is to be said of the place itself; may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub label: String,
}

/// A stretch of one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Position {
    /// From one.
    pub line: usize,
    /// In characters, from one.
    pub column: usize,
    /// The line, secrets masked.
    #[serde(skip)]
    pub text: String,
    /// In bytes of `text`.
    #[serde(skip)]
    pub span: Range<usize>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    pub severity: Severity,
    pub message: String,
    #[serde(flatten)]
    pub at: Option<Excerpt>,
    /// Other places that belong to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Excerpt>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// All that is wrong: errors before warnings, each in the order of files and lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Faults {
    pub faults: Vec<Fault>,
    /// How many more there are than are told.
    pub more: usize,
}

impl Faults {
    /// Whether nothing is wrong.
    pub const fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// The faults that keep the configuration from being taken.
    pub fn errors(&self) -> impl Iterator<Item = &Fault> {
        self.faults.iter().filter(|fault| fault.severity == Severity::Error)
    }

    /// The faults that do not.
    pub fn warnings(&self) -> impl Iterator<Item = &Fault> {
        self.faults.iter().filter(|fault| fault.severity == Severity::Warning)
    }

    /// All faults as text for people, with a caret under each place.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut text = String::new();
        for fault in &self.faults {
            text.push_str(&renderer.render(&[fault.group()]));
            text.push_str("\n\n");
        }
        if self.more > 0 {
            text.push_str(&format!("... and {} more\n", self.more));
        }
        text
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Faults {}

impl Fault {
    fn group(&self) -> Group<'_> {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = Group::with_title(level.primary_title(&*self.message));
        for (excerpt, kind) in self
            .at
            .iter()
            .map(|at| (at, AnnotationKind::Primary))
            .chain(self.also.iter().map(|also| (also, AnnotationKind::Context)))
        {
            group = match &excerpt.position {
                None => group.element(Origin::path(&*excerpt.file)),
                Some(position) => {
                    let mut mark = kind.span(position.span.clone());
                    if !excerpt.label.is_empty() {
                        mark = mark.label(&*excerpt.label);
                    }
                    group.element(
                        Snippet::source(&*position.text)
                            .path(&*excerpt.file)
                            .line_start(position.line)
                            .annotation(mark),
                    )
                }
            };
        }
        match &self.help {
            Some(help) => group.element(Level::HELP.message(&**help)),
            None => group,
        }
    }
}
