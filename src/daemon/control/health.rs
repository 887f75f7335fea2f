//! Behind the door: the health of the edge as a whole, its causes and alarms.

use super::Desk;
use crate::admin;

impl admin::Health for Desk {}
