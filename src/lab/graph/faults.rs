//! Switches for what goes wrong: per endpoint, tenant and user, for ever or so many times.

use std::time::Duration;

use super::route::Endpoint;

/// Faults that may be on at once.
const MAX_FAULTS: usize = 64;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trouble {
    /// An error with a status, such as 503, and how long to wait (seconds, fractions too).
    Status { code: u16, retry_after: Option<f64> },
    /// The answer comes so much later.
    Delay(Duration),
    /// No answer ever.
    Hang,
    /// The connection is cut and nothing was done.
    Cut,
    /// It was done, and the connection is cut before the answer.
    LostAnswer,
    /// 200 with a body that is no JSON.
    WrongJson,
    /// An HTML page, as a proxy in between writes it.
    Html,
}

/// What goes wrong, where, and how often.
#[derive(Clone, Debug)]
pub struct Fault {
    pub trouble: Trouble,
    /// `None`: at each endpoint.
    pub endpoint: Option<Endpoint>,
    /// The id of an Entra tenant; `None`: for each.
    pub tenant: Option<String>,
    /// The id of a user; `None`: for each.
    pub user: Option<String>,
    /// Requests that it hits; `None`: all until it is taken away.
    pub times: Option<u32>,
    /// Requests that it lets pass before.
    pub skip: u32,
}

impl Fault {
    /// A fault everywhere, until it is taken away.
    pub fn new(trouble: Trouble) -> Self {
        Self { trouble, endpoint: None, tenant: None, user: None, times: None, skip: 0 }
    }

    /// An error status.
    pub fn status(code: u16) -> Self {
        Self::new(Trouble::Status { code, retry_after: None })
    }

    /// 429 with the seconds to wait.
    pub fn throttled(retry_after: f64) -> Self {
        Self::new(Trouble::Status { code: 429, retry_after: Some(retry_after) })
    }

    /// At one endpoint only.
    #[must_use]
    pub fn at(mut self, endpoint: Endpoint) -> Self {
        self.endpoint = Some(endpoint);
        self
    }

    /// For one Entra tenant only.
    #[must_use]
    pub fn of_tenant(mut self, id: &str) -> Self {
        self.tenant = Some(id.to_owned());
        self
    }

    /// For one user only, by id.
    #[must_use]
    pub fn of_user(mut self, id: &str) -> Self {
        self.user = Some(id.to_owned());
        self
    }

    /// So many times only.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Not before so many requests have passed.
    #[must_use]
    pub fn after(mut self, requests: u32) -> Self {
        self.skip = requests;
        self
    }

    fn is_about(&self, endpoint: Endpoint, tenant: Option<&str>, user: Option<&str>) -> bool {
        self.endpoint.is_none_or(|only| only == endpoint)
            && self.tenant.as_deref().is_none_or(|only| tenant == Some(only))
            && self.user.as_deref().is_none_or(|only| user == Some(only))
    }
}

/// Names a fault that was switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultId(pub u64);

/// The faults that are on.
#[derive(Debug, Default)]
pub(super) struct Faults {
    next: u64,
    on: Vec<(FaultId, Fault)>,
}

impl Faults {
    /// Switches a fault on; the oldest goes when there are too many.
    pub(super) fn add(&mut self, fault: Fault) -> FaultId {
        self.next += 1;
        if self.on.len() >= MAX_FAULTS {
            self.on.remove(0);
        }
        self.on.push((FaultId(self.next), fault));
        FaultId(self.next)
    }

    pub(super) fn remove(&mut self, id: FaultId) {
        self.on.retain(|(other, _)| *other != id);
    }

    pub(super) fn clear(&mut self) {
        self.on.clear();
    }

    /// What goes wrong with a request, which uses it up. Delays come beside the first other trouble.
    pub(super) fn hit(&mut self, endpoint: Endpoint, tenant: Option<&str>, user: Option<&str>) -> Hit {
        let mut hit = Hit::default();
        for (_, fault) in &mut self.on {
            if !fault.is_about(endpoint, tenant, user) {
                continue;
            }
            let taken = matches!(fault.trouble, Trouble::Delay(_)) || hit.trouble.is_none();
            if !taken || fault.times == Some(0) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            if let Some(times) = &mut fault.times {
                *times -= 1;
            }
            match fault.trouble {
                Trouble::Delay(delay) => hit.delay += delay,
                trouble => hit.trouble = Some(trouble),
            }
        }
        self.on.retain(|(_, fault)| fault.times != Some(0));
        hit
    }
}

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Hit {
    pub(super) delay: Duration,
    pub(super) trouble: Option<Trouble>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_hits_where_and_as_often_as_told() {
        let mut faults = Faults::default();
        faults.add(Fault::throttled(2.128).at(Endpoint::SetPresence).of_user("u1").times(1));
        let slow = faults.add(Fault::new(Trouble::Delay(Duration::from_millis(5))));
        let expected = Trouble::Status { code: 429, retry_after: Some(2.128) };
        assert_eq!(faults.hit(Endpoint::SetPresence, None, Some("u2")).trouble, None);
        let hit = faults.hit(Endpoint::SetPresence, Some("t"), Some("u1"));
        assert_eq!(hit, Hit { delay: Duration::from_millis(5), trouble: Some(expected) });
        assert_eq!(faults.hit(Endpoint::SetPresence, Some("t"), Some("u1")).trouble, None);
        faults.remove(slow);
        assert_eq!(faults.hit(Endpoint::SetPresence, None, None), Hit::default());
    }

    #[test]
    fn a_fault_waits_for_its_turn() {
        let mut faults = Faults::default();
        faults.add(Fault::status(503).after(1).times(1));
        let hits: Vec<bool> = (0..3).map(|_| faults.hit(Endpoint::Batch, None, None).trouble.is_some()).collect();
        assert_eq!(hits, [false, true, false]);
    }
}
