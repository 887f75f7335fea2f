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

    use proptest::prelude::*;

    use super::*;
    use crate::config::{load_str, load_str_over};
    use crate::routing::{Decision, Query, Way};

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

    /// Where a number from each trunk goes, by names.
    fn decisions(loaded: &Loaded) -> Vec<String> {
        let mut all = Vec::new();
        for trunk in loaded.trunks.staying() {
            for number in ["100", "2005", "30", "+4930", "999", "112"] {
                let query = Query::new(trunk.id, b"127.0.0.1", number.as_bytes());
                let way = match loaded.routing.route(query) {
                    Decision::To(choice) => {
                        let name = |way: &Way| loaded.trunks.get(way.trunk).map(|trunk| trunk.name.to_string());
                        format!("{:?}", choice.ways.iter().map(name).collect::<Vec<_>>())
                    }
                    Decision::NoRoute(refused) => format!("{:?}", refused.why),
                };
                all.push(format!("{} {number}: {way}", trunk.name));
            }
            // Who calls is told alike, too.
            let from = trunk.allow_from.first().map(|network| network.addr).unwrap();
            let found = loaded.identify.trunk(trunk.listener, from, &[]);
            assert_eq!(found, Some(trunk.id));
        }
        all.sort();
        all
    }

    /// A configuration of some of the trunks, listeners, rules and routes that there may be.
    fn any_config() -> impl Strategy<Value = String> {
        let trunks = proptest::sample::subsequence(vec![0_u8, 1, 2, 3, 4, 5], 1..=6).prop_shuffle();
        let targets = proptest::collection::vec((0_usize..6, 0_usize..6), 0..6);
        (trunks, proptest::bool::ANY, 5060_u16..5063, targets).prop_map(|(trunks, swapped, port, targets)| {
            let near = ("near".to_owned(), "udp:127.0.0.1:5050".to_owned());
            let far = ("far".to_owned(), format!("tcp:127.0.0.1:{port}"));
            let listeners = if swapped { [far, near] } else { [near, far] };
            let listeners: Vec<(&str, &str)> = listeners.iter().map(|(name, bind)| (&**name, &**bind)).collect();
            let mut text = config(&listeners, &[]);
            for number in &trunks {
                let listen = if number % 2 == 0 { "near" } else { "far" };
                text += &format!("[trunk.t{number}]\nkind = \"pbx\"\nlisten = \"{listen}\"\n");
                text += &format!("targets = [\"127.0.1.{number}\"]\ndialplan = \"main\"\n");
            }
            let name = |at: usize| format!("t{}", trunks[at % trunks.len()]);
            text += "[dialplan.main]\nrules = [\n";
            let prefixes = ["1", "20", "3", "999", "112", "+49"];
            let mut used = std::collections::BTreeSet::new();
            for (prefix, to) in targets.iter().filter(|(prefix, _)| used.insert(*prefix)) {
                text += &format!("{{ prefix = \"{}\", tag = \"{}\" }},\n", prefixes[*prefix], name(*to));
            }
            text += &format!("]\n[[route]]\nprefix = \"+\"\nto = [\"{}\"]\n", name(targets.len()));
            text
        })
    }

    proptest! {
        #[test]
        fn a_reload_and_back_decides_as_before(first in any_config(), others in proptest::collection::vec(any_config(), 1..4)) {
            let base = Path::new("");
            let start = load_str("t", &first, base).unwrap_or_else(|faults| panic!("{faults}"));
            let mut now = start.clone();
            for other in others.iter().chain([&first]) {
                let next = load_str_over("t", other, base, Slots::of(&now)).unwrap_or_else(|faults| panic!("{faults}"));
                // Names keep their ids.
                for trunk in now.trunks.0.iter() {
                    prop_assert_eq!(&next.trunks.get(trunk.id).unwrap().name, &trunk.name);
                }
                // A restart would decide alike.
                let fresh = load_str("t", other, base).unwrap();
                prop_assert_eq!(decisions(&next), decisions(&fresh));
                now = next;
            }
            prop_assert_eq!(decisions(&now), decisions(&start));
        }
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
