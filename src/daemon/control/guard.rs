//! Behind the door: addresses that are banned, and the overload of the edge.

use super::Desk;
use crate::admin;

impl admin::Guard for Desk {}
