//! Behind the door: open connections and the certificates behind them.

use super::Desk;
use crate::admin;

impl admin::Connections for Desk {}
