//! Behind the door: reloads of the configuration, and what came of them.

use super::Desk;
use crate::admin;

impl admin::Reloading for Desk {}
