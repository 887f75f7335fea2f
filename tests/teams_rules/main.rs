//! What Microsoft asks of an SBC, line by line (section E of the facts sheet on Direct Routing): each test is named after
//! its line, `e01_...` to `e28_...`. The daemon runs as a process between a stand-in for Teams that takes nothing but
//! what Microsoft's does, and PBXs. README has the table of what is asked and what is done.

mod phone;
mod stage;
mod support;

mod connections;
mod data_centres;
mod foreign;
mod identity;
mod media;
mod outcomes;
mod restarts;
mod talks;
mod tenants;
mod topology;
mod transfers;
