//! Behind the door: life of the daemon: drain and undrain.

use super::Desk;
use crate::admin;

impl admin::Service for Desk {}
