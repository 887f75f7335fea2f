//! Whether the daemon serves, drains or stops, and what it waits for before it ends.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::core::Core;
use crate::admin::{Cause, Life as Shown, LifeState, Severity, Stopping};
use crate::config::{Service, StopWaits};

/// How often it is looked whether all is over.
const LOOK: Duration = Duration::from_millis(50);

/// How long messages are still taken when nothing is in progress any more: the ACK of a 2xx belongs to no transaction,
/// and a call whose ACK is lost would not live on.
const GRACE: Duration = Duration::from_millis(250);

/// How long requests inside calls are waited for. Where there are very many calls there is always one, and its sender
/// sends it again to the next process.
const INSIDE: Duration = Duration::from_secs(2);

/// The life of one daemon. A drain and an undrain may come from any thread.
pub struct Life {
    core: Arc<Core>,
    phase: Mutex<Phase>,
}

#[derive(Clone, Copy, Debug)]
struct Phase {
    state: LifeState,
    since: Instant,
    /// When a stop ends, whatever goes on.
    ends: Option<Instant>,
}

/// What a stop came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Calls that are up and remembered.
    pub calls: usize,
    /// Requests without a final answer.
    pub requests: usize,
    /// Those of them that begin a call: it would be lost.
    pub setups: usize,
}

impl Life {
    /// Of a daemon that takes calls from now on.
    pub fn new(core: Arc<Core>) -> Arc<Self> {
        let phase = Mutex::new(Phase { state: LifeState::Serving, since: Instant::now(), ends: None });
        Arc::new(Self { core, phase })
    }

    /// What goes on now.
    pub fn shown(&self) -> Shown {
        let Phase { state, since, .. } = *self.lock();
        let Left { calls, requests, .. } = self.left();
        Shown { state, for_s: since.elapsed().as_secs(), calls, requests }
    }

    /// Whether new calls are taken.
    pub fn state(&self) -> LifeState {
        self.lock().state
    }

    /// How long until a stop ends whatever goes on; `None`: the daemon is not stopping.
    pub fn ends_in(&self) -> Option<Duration> {
        self.lock().ends.map(|ends| ends.saturating_duration_since(Instant::now()))
    }

    /// Refuses new calls from now on; nothing new while it stops anyway.
    pub fn drain(&self) {
        let mut phase = self.lock();
        if phase.state == LifeState::Serving {
            *phase = Phase { state: LifeState::Draining, since: Instant::now(), ends: None };
            self.core.edge().gate.set_draining(true);
            tracing::info!("draining: new calls are refused");
        }
    }

    /// Takes new calls again.
    ///
    /// # Errors
    /// [`Stopping`]: the process is about to end.
    pub fn undrain(&self) -> Result<(), Stopping> {
        let mut phase = self.lock();
        match phase.state {
            LifeState::Serving => {}
            LifeState::Stopping => return Err(Stopping),
            LifeState::Draining => {
                *phase = Phase { state: LifeState::Serving, since: Instant::now(), ends: None };
                self.core.edge().gate.set_draining(false);
                tracing::info!("new calls are taken again");
            }
        }
        Ok(())
    }

    /// Refuses new calls, and waits for what the configuration says, at the most as long as it says.
    pub async fn stop(&self, service: &Service) -> Left {
        let ends = Instant::now() + service.drain_timeout;
        {
            let mut phase = self.lock();
            *phase = Phase { state: LifeState::Stopping, since: Instant::now(), ends: Some(ends) };
            self.core.edge().gate.set_draining(true);
        }
        let mut inside_since = None;
        loop {
            let (now, left) = (Instant::now(), self.left());
            let rest = ends.saturating_duration_since(now);
            let is_quiet = match service.stop_waits_for {
                StopWaits::Nothing => true,
                StopWaits::Transactions => left.setups == 0,
                StopWaits::Calls => left.setups == 0 && left.calls == 0,
            };
            if !is_quiet {
                inside_since = None;
            }
            let inside = is_quiet.then(|| now.duration_since(*inside_since.get_or_insert(now)));
            let may_be_short = left.requests == 0 || service.stop_waits_for == StopWaits::Nothing;
            let is_over = inside.is_some_and(|waited| waited >= if may_be_short { GRACE } else { INSIDE });
            if is_over || rest.is_zero() {
                return left;
            }
            tokio::time::sleep(LOOK.min(rest)).await;
        }
    }

    /// Why the edge is not well, as far as its life goes.
    pub fn causes(&self) -> Vec<Cause> {
        let (text, advice) = match self.state() {
            LifeState::Serving => return Vec::new(),
            LifeState::Draining => ("the edge is drained", "`trunkway undrain` takes new calls again"),
            LifeState::Stopping => ("the edge is stopping", "it ends by itself; start it again to take calls"),
        };
        vec![Cause {
            severity: Severity::Warning,
            name: "draining",
            source: "service".to_owned(),
            text: format!("{text}: new calls are refused"),
            advice: advice.to_owned(),
        }]
    }

    /// What is in progress.
    pub fn left(&self) -> Left {
        let (requests, setups) = self.core.in_progress();
        Left { calls: self.core.status().calls, requests, setups }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
