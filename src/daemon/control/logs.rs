//! Behind the door: what is logged.

use super::Desk;
use crate::admin;

impl admin::Logs for Desk {}
