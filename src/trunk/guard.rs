//! The flood guard: what strangers may do before they are not listened to any more. Pure.
//!
//! It is only told of sources that belong to no trunk: whoever asks knows who is who, and a configured peer is never
//! banned. A source is an IPv4 address or an IPv6 network of 64 bits, since one subscriber has all of the latter.
//! Memory is bounded whatever addresses are made up: sources that have been quiet for longest are forgotten first.

mod bans;
mod pace;
mod sources;

use std::net::IpAddr;
use std::time::Duration;

use super::Network;

pub use bans::{Ban, BanError, Bans, Cause};
pub use pace::Pace;
use sources::Sources;

/// Bits of the IPv6 network that counts as one source.
const IPV6_BITS: u8 = 64;

/// How much is too much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Offences within [`Self::window`] that a source is banned for; zero: nobody is banned by itself.
    pub offences: u32,
    pub window: Duration,
    /// How long the first ban lasts.
    pub ban: Duration,
    /// How long any ban by the guard lasts at most.
    pub longest_ban: Duration,
    /// How many times longer the next ban is than the one before.
    pub growth: u32,
    /// How long after a ban has ended it counts for the length of the next.
    pub forgive: Duration,
    /// Messages a second of one stranger that are looked at; each one more is an offence; zero: as many as come.
    pub messages_per_second: u32,
    /// Sources that are remembered.
    pub max_sources: usize,
    /// Bans, those that are over but count for the next included.
    pub max_bans: usize,
    /// What a User-Agent or From has in it when a scanner is at work; in lower case.
    pub scanners: Vec<Box<str>>,
}

impl Default for Settings {
    fn default() -> Self {
        let scanners =
            ["friendly-scanner", "sipvicious", "sipcli", "sundayddr", "vaxsipuseragent", "pplsip", "sip-scan"];
        Self {
            offences: 20,
            window: Duration::from_secs(60),
            ban: Duration::from_secs(60),
            longest_ban: Duration::from_secs(86_400),
            growth: 4,
            forgive: Duration::from_secs(86_400),
            messages_per_second: 20,
            max_sources: 100_000,
            max_bans: 100_000,
            scanners: scanners.map(Into::into).into(),
        }
    }
}

/// What a stranger has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Offence {
    /// A request that belongs to no trunk.
    Stranger,
    /// A request that says it comes from a scanner.
    Scanner,
    /// What is no SIP message, or cannot be cut out of a stream.
    Malformed,
    /// A TLS handshake that failed: no certificate, or one that proves nothing.
    Handshake,
    /// More messages a second than strangers may send.
    Flood,
}

impl Offence {
    /// All of them, in the order of the counters.
    pub const ALL: [Self; 5] = [Self::Stranger, Self::Scanner, Self::Malformed, Self::Handshake, Self::Flood];

    /// A short name for counters and lists.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stranger => "stranger",
            Self::Scanner => "scanner",
            Self::Malformed => "malformed",
            Self::Handshake => "handshake",
            Self::Flood => "flood",
        }
    }

    /// What it was, in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Stranger => "requests that belong to no trunk",
            Self::Scanner => "a request of a scanner",
            Self::Malformed => "messages that are not SIP",
            Self::Handshake => "TLS handshakes that failed",
            Self::Flood => "more messages a second than strangers may send",
        }
    }

    /// How much it counts, where the guard bans at `offences`: nobody calls himself a scanner by mistake.
    const fn weight(self, offences: u32) -> u32 {
        match self {
            Self::Scanner => offences,
            _ => 1,
        }
    }
}

/// What comes of an offence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is let be.
    Noted,
    /// The source is banned from now on.
    Banned(Ban),
}

/// The guard over all strangers.
#[derive(Debug)]
pub struct Guard {
    settings: Settings,
    sources: Sources,
    pub bans: Bans,
}

impl Guard {
    /// A guard that knows nobody.
    pub fn new(settings: Settings) -> Self {
        let (sources, bans) = (Sources::new(settings.max_sources), Bans::new(settings.max_bans));
        Self { settings, sources, bans }
    }

    /// Other settings from now on; what is known stays.
    pub fn set(&mut self, settings: Settings) {
        self.sources.set_room(settings.max_sources);
        self.bans.set_room(settings.max_bans);
        self.settings = settings;
    }

    /// The settings in force.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Sources that are remembered.
    pub fn sources(&self) -> usize {
        self.sources.len()
    }

    /// Whether one more message of a stranger is within what it may send. One that is not is a [`Offence::Flood`].
    pub fn take(&mut self, now: u64, remote: IpAddr) -> bool {
        let rate = self.settings.messages_per_second;
        rate == 0 || self.sources.of(source(remote)).take(now, rate)
    }

    /// Notes an offence at `now`, in milliseconds since 1970 UTC.
    pub fn note(&mut self, now: u64, remote: IpAddr, offence: Offence) -> Verdict {
        let Settings { offences, window, .. } = self.settings;
        if offences == 0 {
            return Verdict::Noted;
        }
        let network = source(remote);
        if self.sources.of(network).offend(now, window, offence.weight(offences)) < offences {
            return Verdict::Noted;
        }
        self.sources.forget(network);
        let times = self.bans.times(now, network, self.settings.forgive).saturating_add(1);
        let length = length_of(&self.settings, times);
        let until = Some(now.saturating_add(millis(length)));
        let ban = Ban { network, since: now, until, times, cause: Cause::Offence(offence) };
        self.bans.insert(now, ban.clone());
        Verdict::Banned(ban)
    }

    /// Whether a header value says that a scanner is at work.
    pub fn is_scanner(&self, value: &[u8]) -> bool {
        // Header values of strangers are read up to here.
        const LOOKED_AT: usize = 256;
        let value = value.get(..LOOKED_AT).unwrap_or(value).to_ascii_lowercase();
        self.settings.scanners.iter().any(|name| memchr::memmem::find(&value, name.as_bytes()).is_some())
    }
}

/// How long the ban of a number lasts.
fn length_of(settings: &Settings, times: u32) -> Duration {
    let Settings { ban, longest_ban, growth, .. } = *settings;
    let factor = growth.max(1).checked_pow(times.saturating_sub(1)).unwrap_or(u32::MAX);
    ban.checked_mul(factor).unwrap_or(longest_ban).min(longest_ban)
}

/// What counts as one source.
pub fn source(remote: IpAddr) -> Network {
    match remote {
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => Network::host(IpAddr::V4(mapped)),
            None => {
                let first = u128::from(address) & (u128::MAX << (128 - u32::from(IPV6_BITS)));
                Network { addr: IpAddr::V6(first.into()), bits: IPV6_BITS }
            }
        },
        IpAddr::V4(_) => Network::host(remote),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
