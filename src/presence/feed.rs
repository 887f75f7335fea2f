//! Devices and users of PBXs that only have CTI, as the HTTP feed tells of them.
//!
//! A feed names its devices; each is a [`Source`] of its own by a number that the user deals out. What a user has set is
//! a source beside them.

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;

use super::people::UserKey;
use super::state::Source;

/// Devices of one user.
pub const MAX_DEVICES: usize = 16;

/// The source of what a user has set, by the feed.
pub const USER_STATE: Source = Source::Feed(0);

/// The devices of users by the names that the feed has for them.
#[derive(Debug, Default)]
pub struct Feed {
    /// By number less one; `None`: nobody has the number.
    devices: HashMap<UserKey, SmallVec<[Option<Arc<str>>; 1]>, foldhash::fast::RandomState>,
}

/// All devices of the user are in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the user has {MAX_DEVICES} devices already: end one with `\"state\": null`")]
pub struct TooManyDevices;

impl Feed {
    /// The source of a device, made when there is none; `is_lost` tells of a source whether its lifetime is over, so
    /// that its number may be dealt out again.
    ///
    /// # Errors
    /// [`TooManyDevices`].
    pub fn device(
        &mut self,
        user: UserKey,
        name: &str,
        is_lost: impl Fn(Source) -> bool,
    ) -> Result<Source, TooManyDevices> {
        let devices = self.devices.entry(user).or_default();
        if let Some(index) = devices.iter().position(|known| known.as_deref() == Some(name)) {
            return Ok(source(index));
        }
        let free = devices.iter().position(Option::is_none);
        let index = match free {
            Some(index) => index,
            None if devices.len() < MAX_DEVICES => {
                devices.push(None);
                devices.len() - 1
            }
            None => (0..devices.len()).find(|&index| is_lost(source(index))).ok_or(TooManyDevices)?,
        };
        if let Some(place) = devices.get_mut(index) {
            *place = Some(Arc::from(name));
        }
        Ok(source(index))
    }

    /// Forgets a device; the source that it was.
    pub fn remove(&mut self, user: UserKey, name: &str) -> Option<Source> {
        let devices = self.devices.get_mut(&user)?;
        let index = devices.iter().position(|known| known.as_deref() == Some(name))?;
        if let Some(place) = devices.get_mut(index) {
            *place = None;
        }
        if devices.iter().all(Option::is_none) {
            self.devices.remove(&user);
        }
        Some(source(index))
    }

    /// Forgets a user.
    pub fn remove_user(&mut self, user: UserKey) {
        self.devices.remove(&user);
    }

    /// The feed's own name of a source.
    pub fn name(&self, user: UserKey, source: Source) -> Option<&Arc<str>> {
        let Source::Feed(number) = source else { return None };
        let index = usize::from(number).checked_sub(1)?;
        self.devices.get(&user)?.get(index)?.as_ref()
    }

    /// Users with a device.
    pub fn len(&self) -> usize {
        self.devices.len()
    }

    /// Whether no user has a device.
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }
}

fn source(index: usize) -> Source {
    // At most MAX_DEVICES: it fits.
    Source::Feed(u16::try_from(index + 1).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: UserKey = UserKey(3);

    #[test]
    fn a_device_keeps_its_source() {
        let mut feed = Feed::default();
        let never = |_| false;
        let desk = feed.device(USER, "desk", never).unwrap();
        let dect = feed.device(USER, "dect", never).unwrap();
        assert_ne!(desk, dect);
        assert!(![desk, dect].contains(&USER_STATE));
        assert_eq!(feed.device(USER, "desk", never), Ok(desk));
        assert_eq!(feed.device(UserKey(4), "dect", never), Ok(desk), "numbers are a user's own");
        assert_eq!(feed.name(USER, dect).map(|name| &**name), Some("dect"));
        assert_eq!((feed.name(USER, USER_STATE), feed.name(USER, Source::Calls)), (None, None));
        assert_eq!(feed.remove(USER, "desk"), Some(desk));
        assert_eq!((feed.remove(USER, "desk"), feed.name(USER, desk)), (None, None));
        assert_eq!(feed.device(USER, "soft", never), Ok(desk));
        feed.remove_user(USER);
        feed.remove(UserKey(4), "dect");
        assert!(feed.is_empty());
    }

    #[test]
    fn devices_are_bounded_and_the_lost_make_way() {
        let mut feed = Feed::default();
        for device in 0..MAX_DEVICES {
            feed.device(USER, &device.to_string(), |_| false).unwrap();
        }
        assert_eq!(feed.device(USER, "new", |_| false), Err(TooManyDevices));
        let lost = feed.device(USER, "5", |_| false).unwrap();
        assert_eq!(feed.device(USER, "new", |source| source == lost), Ok(lost));
        assert_eq!(feed.device(USER, "0", |_| false), Ok(Source::Feed(1)));
        assert_eq!(feed.len(), 1);
    }
}
