//! Behind the door: messages of calls, as the edge saw them.

use super::Desk;
use crate::admin;

impl admin::Trace for Desk {}
