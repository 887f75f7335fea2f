//! What is to be done with the users of a tenant.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::readings::{reading, rule, settings};
use super::source::{Source, user};
use crate::directory::{GroupRule, Kept, Matches, Mirror, NumberField, Office, Plan, Settings, matches, plan};
use crate::routing::countries::Country;
use crate::routing::number::NumberingPlan;
use crate::routing::people::{Lives, UserRecord};
use crate::routing::{Edit, Sites, Tenant, compile};

/// A tenant whose users the directory puts, as the daemon does it.
struct World {
    source: Source,
    settings: Settings,
    mirror: Mirror,
    kept: Kept,
    configured: BTreeMap<String, UserRecord>,
    users: BTreeMap<String, UserRecord>,
}

impl World {
    fn new() -> Self {
        Self {
            source: Source::new(100),
            settings: settings(),
            mirror: Mirror::default(),
            kept: Kept::default(),
            configured: BTreeMap::new(),
            users: BTreeMap::new(),
        }
    }

    /// A directory of these users, by name and number, of whom all are put.
    fn of(users: &[(&str, &str)]) -> Self {
        let mut world = Self::new();
        for (name, number) in users {
            world.source.put(name, user(name, number));
        }
        world.sync();
        world
    }

    fn configure(&mut self, record: UserRecord) {
        self.configured.insert(record.id.clone(), record.clone());
        self.users.insert(record.id.clone(), record);
    }

    fn tenant(users: &BTreeMap<String, UserRecord>) -> Tenant {
        let mut numbering = NumberingPlan::new(Country::find("GB"));
        numbering.add_extensions("400-499".parse().unwrap());
        let tenant = Tenant::new("contoso", numbering);
        let compiled =
            users.values().map(|record| compile(record.clone(), &tenant, &Sites::default()).unwrap()).collect();
        tenant.with_users(compiled)
    }

    fn look(&mut self) -> Plan {
        self.mirror = reading(&self.source, &self.settings, &self.mirror).unwrap().mirror;
        let (tenant, configured) = (Self::tenant(&self.users), Self::tenant(&self.configured));
        let office = Office { tenant: &tenant, sites: &Sites::default(), configured: &configured };
        plan(&self.settings, &self.mirror, &self.kept, office)
    }

    fn sync(&mut self) -> Plan {
        let plan = self.look();
        for edit in plan.edits("contoso") {
            match edit {
                Edit::PutUser { user, .. } => drop(self.users.insert(user.id.clone(), user)),
                Edit::RemoveUser { user, .. } => {
                    assert!(self.users.remove(&user).is_some(), "{user} was not there");
                }
                other => panic!("{other:?}"),
            }
        }
        let put = plan.new.iter().chain(&plan.noted).chain(plan.update.iter().map(|it| &it.wanted));
        self.kept.put.extend(put.map(|record| (record.id.clone(), record.clone())));
        let gone = plan.delete.iter().map(|user| &user.id).chain(&plan.yielded).chain(&plan.forgotten);
        gone.for_each(|id| drop(self.kept.put.remove(id)));
        self.kept.dealt.extend(plan.dealt.iter().cloned());
        plan
    }

    fn record(&self, name: &str) -> &UserRecord {
        &self.users[&id(name)]
    }

    fn ids(&self) -> Vec<&str> {
        self.users.keys().map(|id| id.split('@').next().unwrap()).collect()
    }
}

fn id(name: &str) -> String {
    format!("{}@contoso.example", name.to_lowercase())
}

fn record(name: &str, number: &str) -> UserRecord {
    UserRecord { id: id(name), name: name.to_owned(), number: Some(number.to_owned()), ..UserRecord::default() }
}

fn said(plan: &Plan) -> Vec<String> {
    plan.unreadable.iter().map(|it| format!("{}: {}", it.user.split('@').next().unwrap(), it.why)).collect()
}

#[test]
fn users_come_change_and_go_with_the_directory() {
    let mut world = World::of(&[("Alice", "01632 768401"), ("Bob", "+441632768402")]);
    assert_eq!(world.record("Alice"), &record("Alice", "01632 768401"));
    world.source.put("Alice", json!({ "displayName": "Alice Smith" }));
    world.source.remove("Bob");
    world.source.put("Carol", user("Carol", "+441632768403"));
    let plan = world.sync();
    assert_eq!((plan.new.len(), plan.update.len(), plan.delete.len(), plan.known), (1, 1, 1, 2));
    assert_eq!(world.ids(), ["alice", "carol"]);
    assert_eq!(world.record("Alice").name, "Alice Smith");
    world.source.put("Carol", json!({ "accountEnabled": false }));
    assert_eq!(world.sync().delete, [record("Carol", "+441632768403")], "disabled is absent");
    world.source.put("Alice", json!({ "businessPhones": [] }));
    let plan = world.sync();
    assert_eq!((plan.delete.len(), plan.without_number, world.ids().len()), (1, 1, 0));
    assert_eq!(world.sync(), Plan { without_number: 1, ..Plan::default() }, "nothing is done twice");
}

#[test]
fn switches_hold_what_they_say() {
    for (new, update, delete) in [(false, true, true), (true, false, true), (true, true, false)] {
        let mut world = World::of(&[("Alice", "+441632768401"), ("Bob", "+441632768402")]);
        world.settings = Settings { new, update, delete, ..world.settings };
        world.source.put("Alice", json!({ "displayName": "Alice Smith" }));
        world.source.remove("Bob");
        world.source.put("Carol", user("Carol", "+441632768403"));
        let plan = world.sync();
        assert_eq!((plan.new.len() == 1, plan.update.len() == 1, plan.delete.len() == 1), (new, update, delete));
        assert_eq!(world.users.contains_key(&id("Carol")), new);
        assert_eq!(world.record("Alice").name == "Alice Smith", update);
        assert_eq!(world.users.contains_key(&id("Bob")), !delete);
        world.settings = settings();
        world.sync();
        assert_eq!((world.ids(), world.record("Alice").name.as_str()), (vec!["alice", "carol"], "Alice Smith"));
    }
}

#[test]
fn share_of_those_who_go_is_measured() {
    let names: Vec<String> = (10..30).map(|number| format!("u{number}")).collect();
    let numbers: Vec<String> = (10..30).map(|number| format!("+4416327684{number}")).collect();
    let users: Vec<(&str, &str)> = names.iter().zip(&numbers).map(|(name, number)| (&**name, &**number)).collect();
    let mut world = World::of(&users);
    world.source.remove("u10");
    world.source.remove("u11");
    assert!(!world.look().deletes_more_than(10), "2 of 20");
    world.source.remove("u12");
    assert!(world.look().deletes_more_than(10), "3 of 20");
    assert!(!world.look().deletes_more_than(15));
    assert!(world.look().deletes_more_than(0));
    assert!(!Plan::default().deletes_more_than(0));
}

#[test]
fn configuration_wins_and_nobody_else_is_touched() {
    let mut world = World::new();
    // By another case of letters, by mail, and somebody whom the directory does not know.
    world.configure(UserRecord { id: "ALICE@contoso.example".to_owned(), ..record("Alice", "+441632768401") });
    world.configure(UserRecord { id: "b.jones@contoso.example".to_owned(), ..record("Bob", "+441632768402") });
    world.configure(record("Lobby", "400"));
    world.users.insert(id("Operator"), record("Operator", "+441632768499"));
    let before = world.users.clone();
    world.source.put("Alice", user("Alice", "+441632768411"));
    world.source.put("Bob", user("Bob", "+441632768412"));
    world.source.put("Bob", json!({ "mail": "B.Jones@contoso.example" }));
    world.source.put("Operator", user("Operator", "+441632768413"));
    let plan = world.sync();
    assert_eq!(world.users, before);
    assert_eq!(plan.held, [id("Alice"), id("Bob"), id("Operator")]);
    for name in ["Alice", "Bob", "Operator"] {
        world.source.remove(name);
    }
    assert_eq!(world.sync(), Plan::default());
    assert_eq!(world.users, before);
}

#[test]
fn configuration_takes_over_and_gives_back() {
    let mut world = World::of(&[("Alice", "+441632768401"), ("Bob", "+441632768402")]);
    // The routing gives way by itself under the same id; under another one both are there for a while.
    world.configure(record("Alice", "+441632768499"));
    world.configure(UserRecord { id: "Bob@Contoso.example".to_owned(), ..record("Bob", "+441632768498") });
    let plan = world.sync();
    assert_eq!((plan.yielded, plan.delete.len()), (vec![id("Bob")], 0));
    assert_eq!(world.record("Alice").number.as_deref(), Some("+441632768499"));
    assert_eq!(world.sync(), Plan { held: vec![id("Alice"), id("Bob")], known: 1, ..Plan::default() });

    world.configured.clear();
    world.users.remove("Bob@Contoso.example");
    world.users.insert(id("Alice"), world.kept.put[&id("Alice")].clone());
    assert_eq!(world.sync().new, [record("Bob", "+441632768402")]);
    world.source.remove("Alice");
    assert_eq!(world.sync().delete.len(), 1, "it is the directory's again");
}

#[test]
fn field_that_an_operator_has_changed_stays() {
    let mut world = World::of(&[("Alice", "+441632768401"), ("Bob", "+441632768402")]);
    world.users.get_mut(&id("Alice")).unwrap().lives = Lives::Both;
    assert_eq!(world.sync(), Plan { wanted: 2, known: 2, ..Plan::default() });
    world.source.put("Alice", json!({ "businessPhones": ["+441632768411"] }));
    world.sync();
    assert_eq!(world.record("Alice"), &UserRecord { lives: Lives::Both, ..record("Alice", "+441632768411") });
    world.users.remove(&id("Bob"));
    assert_eq!(world.sync().new.len(), 1, "the directory has the last word on who is there");
    world.source.remove("Alice");
    assert_eq!(world.sync().delete.len(), 1);
}

#[test]
fn what_cannot_be_read_is_told_by_name_and_stays_as_it_was() {
    let mut world = World::of(&[("Alice", "+441632768401"), ("Bob", "+441632768402"), ("Carol", "+441632768403")]);
    world.source.put("Alice", json!({ "businessPhones": ["call me"] }));
    world.source.put("Bob", json!({ "displayName": null }));
    world.source.put("Carol", json!({ "businessPhones": ["999"] }));
    world.source.put("Dora", user("Dora", "+44 1632 768 402"));
    world.source.put("Emma", json!({ "displayName": "Emma", "businessPhones": ["+441632768405"] }));
    world.source.put("Twin", json!({ "userPrincipalName": "Alice@contoso.example", "displayName": "Alice" }));
    let before = world.users.clone();
    let plan = world.sync();
    assert_eq!(world.users, before);
    let mut wanted = vec![
        "Emma: there is neither a user principal name nor a mail address",
        "alice: user `alice@contoso.example`: `call me` is no number by the numbering plan of tenant `contoso`",
        "alice: another user of the directory has this user principal name or mail address",
        "bob: the name is empty: `displayName`",
        "carol: user `carol@contoso.example`: `999` is a service number",
        "dora: user `bob@contoso.example` has +441632768402 already",
    ];
    wanted.sort_unstable();
    let mut said = said(&plan);
    said.sort();
    assert_eq!(said, wanted);
}

#[test]
fn fields_with_suffixes_make_entries_of_their_own() {
    let mut world = World::new();
    world.settings.numbers.push(NumberField { field: "mobilePhone".into(), suffix: Some("M".into()) });
    world.settings.teams_numbers = true;
    world.source.put("Alice", user("Alice", "+441632768401"));
    world.source.put("Alice", json!({ "mobilePhone": "+447700900001" }));
    world.source.put("Bob", user("Bob", "+441632768402"));
    world.source.assign("Bob", "+441632768412");
    world.sync();
    let mobile =
        UserRecord { id: format!("{}/M", id("Alice")), name: "Alice M".to_owned(), ..record("Alice", "+447700900001") };
    assert_eq!(world.users[&mobile.id], mobile);
    assert_eq!(world.record("Alice").number.as_deref(), Some("+441632768401"));
    assert_eq!(world.record("Bob").number.as_deref(), Some("+441632768412"), "Teams knows better");
    world.source.put("Alice", json!({ "mobilePhone": null }));
    assert_eq!(world.sync().delete, [mobile]);
}

#[test]
fn groups_say_who_is_taken_and_how() {
    let mut world = World::new();
    world.settings.group = Some("staff".into());
    let desk = GroupRule { lives: Lives::Both, first_extension: Some("400".into()), ..rule("desk") };
    let field = GroupRule { extension_field: Some("employeeId".into()), lives: Lives::Pbx, ..rule("field") };
    world.settings.rules = vec![desk, field];
    for (name, number) in [("Alice", "+441632768401"), ("Bob", ""), ("Carol", ""), ("Dora", "+441632768404")] {
        world.source.put(name, user(name, number));
    }
    world.source.put("Carol", json!({ "employeeId": "401" }));
    world.source.set_members("staff", &["Alice", "Bob", "Carol"]);
    world.source.set_members("desk", &["Alice", "Bob", "Dora"]);
    world.source.set_members("field", &["Alice", "Carol"]);
    world.sync();
    let shown = |world: &World, name: &str| {
        let record = world.record(name);
        (record.lives, record.extension.clone().unwrap_or_default())
    };
    assert_eq!(world.ids(), ["alice", "bob", "carol"]);
    assert_eq!(shown(&world, "Alice"), (Lives::Both, "400".to_owned()), "the first rule counts");
    assert_eq!(shown(&world, "Bob"), (Lives::Both, "402".to_owned()), "401 is Carol's");
    assert_eq!(shown(&world, "Carol"), (Lives::Pbx, "401".to_owned()));

    world.source.set_members("staff", &["Bob", "Dora"]);
    world.sync();
    assert_eq!(
        (world.ids(), shown(&world, "Dora").1),
        (vec!["bob", "dora"], "401".to_owned()),
        "400 is Alice's for ever"
    );
    world.source.set_members("staff", &["Alice", "Bob"]);
    world.sync();
    assert_eq!(shown(&world, "Alice").1, "400");
}

#[test]
fn lost_store_costs_nobody_anything() {
    let mut world = World::new();
    world.settings.rules = vec![GroupRule { first_extension: Some("400".into()), ..rule("desk") }];
    for (name, number) in [("Alice", "+441632768401"), ("Bob", "")] {
        world.source.put(name, user(name, number));
    }
    world.source.set_members("desk", &["Bob", "Alice"]);
    world.sync();
    let kept = std::mem::take(&mut world.kept);
    let plan = world.sync();
    assert_eq!((plan.edits("contoso"), plan.noted.len()), (vec![], 2));
    assert_eq!(world.kept, kept);
}

#[test]
fn names_are_matched_to_objects() {
    let world = World::of(&[("Alice", ""), ("Bob", ""), ("Carol", "")]);
    world.source.put("Bob", json!({ "mail": "alice@contoso.example" }));
    world.source.put("Alice", json!({ "mail": "A.Smith@contoso.example" }));
    world.source.put("Carol", json!({ "accountEnabled": false }));
    let mirror = reading(&world.source, &world.settings, &Mirror::default()).unwrap().mirror;
    let entry = |name: &str, object: &str| (Arc::from(name), Arc::from(object));
    let wanted = [
        entry("alice@contoso.example", "Alice"),
        entry("a.smith@contoso.example", "Alice"),
        entry("bob@contoso.example", "Bob"),
    ];
    assert_eq!(matches(&mirror), wanted.into_iter().collect::<Matches>());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tenant_ends_with_the_users_of_the_directory_and_those_it_had(
        turns in proptest::collection::vec(
            (proptest::collection::vec((0..12_u8, 0..14_u8, any::<bool>()), 0..8), 0..4_u8),
            1..8,
        ),
    ) {
        let mut world = World::new();
        world.configure(record("u3", "+441632768490"));
        for (changes, how) in turns {
            for (who, what, gone) in changes {
                let name = format!("u{who}");
                if gone {
                    world.source.remove(&name);
                } else {
                    world.source.put(&name, user(&name, &format!("+4416327684{what:02}")));
                }
            }
            match how {
                // The process ends before, between and after what it does.
                0 => drop(world.look()),
                1 => {
                    let plan = world.look();
                    world.kept.put.extend(plan.new.iter().map(|record| (record.id.clone(), record.clone())));
                }
                2 => {
                    let before = world.kept.clone();
                    let plan = world.sync();
                    world.kept = before;
                    world.kept.put.extend(plan.new.iter().map(|record| (record.id.clone(), record.clone())));
                }
                _ => drop(world.sync()),
            }
        }
        world.sync();
        let plan = world.sync();
        prop_assert_eq!(plan.edits("contoso"), vec![], "it comes to rest");
        for name in (0..12).map(|who| format!("u{who}")).filter(|name| name != "u3") {
            let has_number = world.users.contains_key(&id(&name));
            let told = plan.unreadable.iter().any(|it| it.user == id(&name));
            prop_assert!(world.source.has(&name) == has_number || told, "{}", name);
        }
        prop_assert_eq!(world.record("u3"), &record("u3", "+441632768490"));
    }
}
