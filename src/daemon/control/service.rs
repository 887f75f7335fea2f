//! Behind the door: life of the daemon: drain and undrain.

use super::Desk;
use crate::admin::{self, Life, Stopping};

impl admin::Service for Desk {
    fn life(&self) -> Life {
        self.parts.life.shown()
    }

    fn drain(&self) -> Life {
        self.parts.life.drain();
        self.parts.life.shown()
    }

    fn undrain(&self) -> Result<Life, Stopping> {
        self.parts.life.undrain()?;
        Ok(self.parts.life.shown())
    }
}
