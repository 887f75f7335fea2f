//! How the stand-in for Teams behaves: its profile, its tenants, and what it does in a call.

use std::net::IpAddr;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::lab::teams::{self, TeamsSettings};
use crate::lab::{CallPlan, Dialling, Outcome, Profile, Refer, ReferTarget, Script, Tenant, Tenants};

/// Options about the behaviour of the stand-in for Teams.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Behaviour of Teams")]
pub struct TeamsManners {
    /// How it judges and behaves: lenient lets much pass, strict holds the edge to every rule of Microsoft, trace-2020 is
    /// strict and answers as awkwardly as published traces show
    #[arg(long, default_value = "lenient", value_parser = PossibleValuesParser::new(Profile::ALL.map(Profile::name))
        .try_map(|name| name.parse::<Profile>()))]
    pub profile: Profile,
    /// A tenant by its registered domain, with the numbers of its users; all numbers without a list. Without any tenant
    /// every --fqdn is one. For strict and trace-2020
    #[arg(long, value_name = "NAME[=NUMBER,...]")]
    pub tenant: Vec<Tenant>,
    /// Make a new connection for every request, not only for those inside a call
    #[arg(long)]
    pub new_connections: bool,
    /// Another local address for connections in mid-call; may stand more than once
    #[arg(long, value_name = "ADDRESS")]
    pub also_from: Vec<IpAddr>,
    /// A name for Record-Route in place of the address; the edge must find it by DNS
    #[arg(long, value_name = "NAME")]
    pub route_host: Option<String>,
    /// Refresh the session of each call by re-INVITE, again and again
    #[arg(long, value_name = "MS")]
    pub refresh_ms: Option<u64>,
    /// Transfer each call to a number, or to a user of Teams by object id, as soon as it is answered
    #[arg(long, value_name = "+NUMBER|ID")]
    pub transfer_to: Option<String>,
    /// Place calls as forwarded by the user with this number: History-Info, P-Asserted-Identity, Privacy
    #[arg(long, value_name = "NUMBER")]
    pub forwarded_from: Option<String>,
    /// Place calls for help, with the caller's place in a multipart body
    #[arg(long)]
    pub emergency: bool,
}

impl TeamsManners {
    /// Sets what concerns the stand-in as a whole.
    pub fn apply(&self, settings: &mut TeamsSettings, sites: &[String]) {
        settings.profile = self.profile;
        settings.tenants = match self.tenant.is_empty() {
            true => sites.iter().map(|site| Tenant::new(site, None)).collect::<Tenants>(),
            false => self.tenant.iter().cloned().collect(),
        };
        if self.new_connections {
            settings.dialling = Dialling::PerRequest;
        }
        settings.other_addresses.clone_from(&self.also_from);
        settings.route_host.clone_from(&self.route_host);
    }

    /// A script in the manner of the profile.
    pub fn answer(&self, plain: Script) -> Script {
        let mut script = match plain.outcome {
            Outcome::Answer { after } if self.profile == Profile::Trace2020 => {
                Script { hang_up_after: plain.hang_up_after, ..Script::trace_2020(after) }
            }
            _ => plain,
        };
        script.refresh_after = self.refresh().or(script.refresh_after);
        script.refer = self.refer();
        script
    }

    /// A call that Teams places.
    pub fn shape(&self, mut plan: CallPlan) -> CallPlan {
        plan.refresh_after = self.refresh();
        plan.refer = self.refer();
        if let Some(first) = &self.forwarded_from {
            plan = teams::forwarded(plan, first);
        }
        if self.emergency { teams::emergency(plan) } else { plan }
    }

    fn refresh(&self) -> Option<Duration> {
        self.refresh_ms.map(|pause| Duration::from_millis(pause.max(1)))
    }

    fn refer(&self) -> Option<Refer> {
        let to = self.transfer_to.as_ref()?;
        let target = match to.starts_with('+') {
            true => ReferTarget::Number(to.clone()),
            false => ReferTarget::User(to.clone()),
        };
        Some(Refer::new(Duration::ZERO, target))
    }
}
