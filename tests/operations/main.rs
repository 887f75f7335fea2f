//! The built daemon as operators run it: started and stopped by a service manager, reloaded under load, watched,
//! asked and told over its socket. Foreign programs are the judges where there are any.

mod support;

mod calls;
mod connections;
mod control;
mod guard;
mod metrics;
mod party;
mod records;
mod reload;
mod service;
mod trace;
