//! The presence bridge as a whole: the built daemon between PBXs, watchers and the stand-in for Microsoft Graph.

#[path = "../operations/support.rs"]
#[allow(dead_code, reason = "the other tests ask more of it")]
mod support;

mod bridge;
mod demo;
mod directory;
mod feed;
mod golden;
mod graph;
mod isolation;
mod lines;
mod load;
mod notifications;
mod peer;
mod publish;
mod standin;
mod subscribe;
mod watchers;
