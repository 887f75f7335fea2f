//! The edge of the demo: the daemon itself, in this process.

use std::path::Path;

use super::{EdgeUnderTest, RunningEdge};
use crate::config;
use crate::daemon::Daemon;

/// Starts the daemon in this process.
#[derive(Clone, Copy, Debug)]
pub struct InProcess;

impl EdgeUnderTest for InProcess {
    type Running = Daemon;

    async fn start(&self, config_toml: String, base_dir: &Path) -> Result<Daemon, String> {
        let loaded = config::load_str("demo.toml", &config_toml, base_dir).map_err(|faults| faults.render(false))?;
        let mut daemon = Daemon::bind(loaded).await.map_err(|error| error.to_string())?;
        daemon.run();
        Ok(daemon)
    }
}

impl RunningEdge for Daemon {
    async fn stop(self) {
        Self::stop(self).await;
    }
}
