//! Behind the door: calls in progress and the limits that they count against.

use super::Desk;
use crate::admin;

impl admin::Calls for Desk {}
