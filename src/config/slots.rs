//! Ids over reloads: a trunk's belongs to its name, a listener's to its name, transport and address. What the new
//! configuration does not have any more keeps its place, marked as leaving, so that no id ever changes its meaning.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Loaded;
use super::model::{Config, Listen, TrunkTls};
use crate::routing::translate::Translations;
use crate::trunk::{ListenerId, Trunk, TrunkId, Trunks, health};

/// The places of the configuration in force.
#[derive(Clone, Debug, Default)]
pub struct Slots {
    /// By [`ListenerId`].
    pub listeners: Vec<Listen>,
    /// By [`TrunkId`].
    pub trunks: Vec<TrunkSlot>,
}

/// A trunk with what stands beside it in a configuration.
#[derive(Clone, Debug)]
pub struct TrunkSlot {
    pub trunk: Trunk,
    pub tls: TrunkTls,
    pub health: health::Settings,
    pub translations: Translations,
}

impl Slots {
    /// Those of a configuration.
    pub fn of(loaded: &Loaded) -> Self {
        Self::new(&loaded.config, &loaded.trunks, &loaded.translations)
    }

    /// The same of its parts.
    pub fn new(config: &Config, trunks: &Trunks, translations: &[Translations]) -> Self {
        let beside = config.trunk_tls.iter().zip(&config.trunk_health).zip(translations);
        let slot =
            |(trunk, ((tls, health), translations)): (&Trunk, ((&TrunkTls, &health::Settings), &Translations))| {
                TrunkSlot {
                    trunk: trunk.clone(),
                    tls: tls.clone(),
                    health: health.clone(),
                    translations: translations.clone(),
                }
            };
        let trunks = trunks.0.iter().zip(beside).map(slot).collect();
        Self { listeners: config.listeners.clone(), trunks }
    }

    /// The slots of listeners, in their order; those that are new come behind all others.
    ///
    /// One that has only got another name keeps its id: its sockets are the same.
    pub(super) fn of_listeners(&self, listens: &[Listen]) -> Vec<usize> {
        let mut taken = vec![false; self.listeners.len()];
        let mut slots: Vec<Option<usize>> = vec![None; listens.len()];
        for by_name in [true, false] {
            for (slot, listen) in slots.iter_mut().zip(listens).filter(|(slot, _)| slot.is_none()) {
                let is_it = |known: &Listen| {
                    let (known, new) = (&known.listener, &listen.listener);
                    let same_name = known.name == new.name;
                    (known.transport, known.bind) == (new.transport, new.bind)
                        && if by_name { same_name } else { new.bind.port() != 0 }
                };
                let mut known = self.listeners.iter().zip(&mut taken).enumerate();
                if let Some((at, (_, taken))) = known.find(|(_, (known, taken))| !**taken && is_it(known)) {
                    *taken = true;
                    *slot = Some(at);
                }
            }
        }
        numbered(slots, self.listeners.len())
    }

    /// The slots of trunks of these names, likewise.
    pub(super) fn of_trunks<'n>(&self, names: impl Iterator<Item = &'n str>) -> Vec<usize> {
        let mut known: BTreeMap<&str, usize> = BTreeMap::new();
        for (at, slot) in self.trunks.iter().enumerate() {
            known.insert(&slot.trunk.name, at);
        }
        // A name that is there twice is told elsewhere.
        numbered(names.map(|name| known.remove(name)).collect(), self.trunks.len())
    }

    /// A listener that leaves.
    pub(super) fn leaving_listener(&self, at: usize) -> Option<Listen> {
        let mut listen = self.listeners.get(at)?.clone();
        listen.listener.leaving = true;
        listen.listener.id = ListenerId(u16::try_from(at).ok()?);
        Some(listen)
    }

    /// A trunk that leaves.
    pub(super) fn leaving_trunk(&self, at: usize) -> Option<TrunkSlot> {
        let mut slot = self.trunks.get(at)?.clone();
        slot.trunk.leaving = true;
        slot.trunk.id = TrunkId(u16::try_from(at).ok()?);
        Some(slot)
    }
}

/// Numbers what has no slot yet from `next` on.
fn numbered(slots: Vec<Option<usize>>, mut next: usize) -> Vec<usize> {
    let number = |slot: Option<usize>| {
        slot.unwrap_or_else(|| {
            next += 1;
            next - 1
        })
    };
    slots.into_iter().map(number).collect()
}

/// Puts things into their slots; `None` where nothing of the new configuration is.
pub(super) fn placed<T>(things: Vec<T>, slots: &[usize], known: usize) -> Vec<Option<T>> {
    let count = slots.iter().map(|slot| slot + 1).max().unwrap_or(0).max(known);
    let mut placed: Vec<Option<T>> = std::iter::repeat_with(|| None).take(count).collect();
    for (thing, slot) in things.into_iter().zip(slots) {
        if let Some(place) = placed.get_mut(*slot) {
            *place = Some(thing);
        }
    }
    placed
}

/// Slots that reading shares with whoever asked for it.
pub(super) type Shared = Arc<Slots>;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{load_str, load_str_over};

    fn config(listeners: &[(&str, &str)], trunks: &[(&str, &str)]) -> String {
        let mut text = "[node]\nname = \"edge\"\n".to_owned();
        for (name, bind) in listeners {
            text += &format!("[[listen]]\nname = \"{name}\"\nbind = \"{bind}\"\n");
        }
        for (index, (name, listen)) in trunks.iter().enumerate() {
            text +=
                &format!("[trunk.{name}]\nkind = \"pbx\"\nlisten = \"{listen}\"\ntargets = [\"127.0.1.{index}\"]\n");
        }
        text
    }

    fn ids(loaded: &Loaded) -> (Vec<String>, Vec<String>) {
        let mark = |leaving: bool| if leaving { " leaves" } else { "" };
        let listeners = loaded.config.listeners.iter().enumerate().map(|(at, listen)| {
            assert_eq!(usize::from(listen.listener.id.0), at);
            format!("{}{}", listen.listener.name, mark(listen.listener.leaving))
        });
        let trunks = loaded.trunks.0.iter().enumerate().map(|(at, trunk)| {
            assert_eq!(usize::from(trunk.id.0), at);
            format!("{} on {}{}", trunk.name, trunk.listener.0, mark(trunk.leaving))
        });
        let counts = [loaded.config.trunk_tls.len(), loaded.config.trunk_health.len(), loaded.translations.len()];
        assert_eq!(counts, [loaded.trunks.0.len(); 3]);
        (listeners.collect(), trunks.collect())
    }

    #[test]
    fn ids_keep_their_meaning_over_reloads() {
        let udp = [("a", "udp:127.0.0.1:5060"), ("b", "tcp:127.0.0.1:5060")];
        let base = Path::new("");
        let first = load_str("t", &config(&udp, &[("one", "a"), ("two", "b"), ("three", "a")]), base).unwrap();
        // "two" has gone, "four" has come, the order is another, "b" is bound elsewhere and "a" is called "inside".
        let moved = [("b", "tcp:127.0.0.1:5070"), ("inside", "udp:127.0.0.1:5060")];
        let text = config(&moved, &[("four", "inside"), ("three", "b"), ("one", "inside")]);
        let second = load_str_over("t", &text, base, Slots::of(&first)).unwrap();
        let listeners = ["inside", "b leaves", "b"].map(str::to_owned).to_vec();
        let trunks = ["one on 0", "two on 1 leaves", "three on 2", "four on 0"].map(str::to_owned).to_vec();
        assert_eq!(ids(&second), (listeners, trunks));
        // A trunk that leaves is found by nobody.
        assert!(second.trunks.named("two").is_none());
        assert!(second.routing.resolve("two").is_none());
        // What comes back finds its place again.
        let text = config(&udp, &[("two", "b"), ("one", "a")]);
        let third = load_str_over("t", &text, base, Slots::of(&second)).unwrap();
        let listeners = ["a", "b", "b leaves"].map(str::to_owned).to_vec();
        let trunks = ["one on 0", "two on 1", "three on 2 leaves", "four on 0 leaves"].map(str::to_owned).to_vec();
        assert_eq!(ids(&third), (listeners, trunks));
    }

    #[test]
    fn what_leaves_is_in_nobodys_way() {
        let base = Path::new("");
        let listen = [("a", "udp:127.0.0.1:5060")];
        let first = load_str("t", &config(&listen, &[("old", "a")]), base).unwrap();
        // The same peer under another name.
        let second = load_str_over("t", &config(&listen, &[("new", "a")]), base, Slots::of(&first)).unwrap();
        assert_eq!(ids(&second).1, ["old on 0 leaves", "new on 0"]);
        let warnings = format!("{}", second.warnings);
        assert!(!warnings.contains("`old`"), "{warnings}");
    }
}
