//! `trunkway lab teams` and `trunkway lab graph`: one stand-in without the others beside it.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{GraphArguments, LabArguments, Side, TeamsManners};
use crate::lab::Endpoint;

/// A stand-in on its own.
#[derive(Clone, Debug, Subcommand)]
pub enum Alone {
    /// Play Microsoft Teams alone, in front of an edge of your own.
    Teams(Box<TeamsArguments>),
    /// Play Microsoft Graph and its login service: presence, users, groups and numbers.
    #[command(after_help = crate::cli::examples::LAB_GRAPH)]
    Graph(Box<GraphArguments>),
}

/// What `trunkway lab teams` can be told.
#[derive(Args, Clone, Debug)]
pub struct TeamsArguments {
    /// Where it listens
    #[arg(long, value_name = "tls:ADDRESS:PORT", default_value = "tls:127.0.0.1:5061")]
    pub listen: Endpoint,
    /// Roots to which the edge's certificate must lead, PEM
    #[arg(long, value_name = "FILE")]
    pub ca: PathBuf,
    /// Its certificate, PEM
    #[arg(long, value_name = "FILE")]
    pub cert: PathBuf,
    /// Its key, PEM
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// The edge's listener for Teams
    #[arg(long, value_name = "tls:ADDRESS:PORT", requires = "fqdn")]
    pub edge: Option<Endpoint>,
    /// A name of the edge as Teams knows it; the first is the site of the calls that Teams places
    #[arg(long, value_name = "NAME")]
    pub fqdn: Vec<String>,
    /// A number to call; may stand more than once
    #[arg(long, value_name = "NUMBER", requires = "edge")]
    pub call: Vec<String>,
    /// The caller's number
    #[arg(long, value_name = "NUMBER", default_value = "+441632960100")]
    pub from: String,
    /// From the INVITE to the answer
    #[arg(long, value_name = "MS", default_value_t = 500)]
    pub answer_ms: u64,
    /// From the answer to BYE
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    pub talk_ms: u64,
    /// Put each call on hold and take it back
    #[arg(long)]
    pub hold: bool,
    /// A number that is refused, with its status code
    #[arg(long, value_name = "NUMBER=CODE", value_parser = super::number_and_code)]
    pub reject: Vec<(String, u16)>,
    /// Pause between OPTIONS of Teams
    #[arg(long, value_name = "MS", default_value_t = 60_000)]
    pub options_ms: u64,
    /// Draw in plain ASCII
    #[arg(long)]
    pub ascii: bool,
    /// Print calls, complaints and trunks as JSON, one object a line
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub manners: TeamsManners,
}

impl From<TeamsArguments> for LabArguments {
    /// The same in the words of `trunkway lab`.
    fn from(alone: TeamsArguments) -> Self {
        Self {
            alone: None,
            manners: alone.manners,
            pbx: Vec::new(),
            teams: Some(alone.listen),
            ca: Some(alone.ca),
            cert: Some(alone.cert),
            key: Some(alone.key),
            edge: None,
            edge_teams: alone.edge,
            fqdn: alone.fqdn,
            call: alone.call,
            call_from: Side::Teams,
            from: alone.from,
            calls: None,
            every_ms: 1_000,
            answer_ms: alone.answer_ms,
            talk_ms: alone.talk_ms,
            callee_hangs_up: false,
            hold: alone.hold,
            cancel_ms: None,
            reject: alone.reject,
            unanswered: Vec::new(),
            early_media: false,
            options_ms: alone.options_ms,
            ascii: alone.ascii,
            json: alone.json,
        }
    }
}
