//! What holds for every call.

use proptest::prelude::*;

use super::super::super::{Caller, Decision, Group, Member, Order, Query, Route, TenantId};
use super::super::TrunkKind;
use super::went;
use super::world::*;
use crate::trunk::TrunkId;

fn route() -> impl Strategy<Value = Route> {
    let member = (0_u16..9, 0_u16..3, 0_u16..3);
    let member = member.prop_map(|(trunk, priority, weight)| Member { trunk: TrunkId(trunk), priority, weight });
    let members = prop::collection::vec(member, 1..4);
    let from = prop::option::of((0_u16..9).prop_map(TrunkId));
    let tenant = prop::option::of((0_u32..4).prop_map(TenantId));
    (from, tenant, "[+]?[0-4]{0,3}", members, any::<bool>(), any::<bool>()).prop_map(
        |(from, tenant, prefix, members, by_cost, hairpin)| {
            let order = if by_cost { Order::Cost } else { Order::Priority };
            Route { tenant, hairpin, groups: vec![Group { order, members }], ..Route::serial(from, prefix, &[]) }
        },
    )
}

fn number() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "+4416327684",
        "+4416327699",
        "+4416327199",
        "+4417",
        "+44176",
        "+44178",
        "+44181",
        "4",
        "+",
        "999",
        "112",
        "",
    ]);
    (known, "[0-9]{0,4}").prop_map(|(head, tail)| head.to_owned() + &tail)
}

proptest! {
    #[test]
    fn no_call_reaches_a_stranger_or_comes_back(
        routes in prop::collection::vec(route(), 0..8),
        from in 0_u16..9,
        host in prop::sample::select(vec![CONTOSO, FABRIKAM, NORTHWIND, GONE, EDGE]),
        user in number(),
        caller in prop::option::of(number()),
        between in any::<(bool, bool)>(),
        hairpin in any::<bool>(),
        draw in any::<u64>(),
    ) {
        let (mut contoso, mut fabrikam) = (contoso(), fabrikam());
        (contoso.between_tenants, fabrikam.between_tenants) = between;
        let mut parts = parts_with(RULES, vec![contoso, fabrikam, northwind(), gone()]);
        let mut list = sites();
        list[0].hairpin = hairpin;
        parts.sites = super::super::super::Sites::new(list);
        let has_hairpin = hairpin || routes.iter().any(|route| route.hairpin);
        parts.routes = routes;
        let routing = routing(parts);
        let caller = Caller { from: caller.as_deref(), asserted: None };
        let query = Query { caller: &caller, draw, ..Query::new(TrunkId(from), host.as_bytes(), user.as_bytes()) };
        // That both agree is checked in there.
        went(&routing, query);
        let Decision::To(choice) = routing.route(query) else { return Ok(()) };
        prop_assert!(!choice.ways.is_empty());
        let both = between == (true, true);
        for way in &choice.ways {
            let trunk = routing.origin(way.trunk).unwrap();
            let caller = choice.tenant.and_then(|tenant| routing.tenants().find(&tenant.id));
            if let (Some(caller), Some(owner)) = (caller, trunk.tenant) {
                prop_assert!(caller == owner || both, "{:?} by `{}`", choice.tenant.map(|tenant| &tenant.id), trunk.name);
            }
            if trunk.kind == TrunkKind::Teams && let Some(caller) = choice.tenant {
                let far = choice.far_site.unwrap();
                prop_assert!(far.tenant == caller.id || both, "{} of {}", far.fqdn, caller.id);
            }
            prop_assert!(way.trunk != query.from || has_hairpin || both, "back to `{}`", trunk.name);
        }
        let mut trunks: Vec<TrunkId> = choice.ways.iter().map(|way| way.trunk).collect();
        trunks.sort_unstable();
        trunks.dedup();
        prop_assert_eq!(trunks.len(), choice.ways.len(), "no trunk twice");
        prop_assert!(choice.tenant.is_none_or(|tenant| !tenant.removed));
    }

    #[test]
    fn any_bytes_are_decided_about(
        from in 0_u16..10,
        host in prop::collection::vec(any::<u8>(), 0..40),
        known in any::<bool>(),
        user in prop::collection::vec(any::<u8>(), 0..80),
        draw in any::<u64>(),
        now in any::<u64>(),
    ) {
        let mut parts = parts();
        parts.routes = vec![Route::serial(None, "", &[CARRIER, SECOND])];
        let routing = routing(parts);
        let host = if known { CONTOSO.as_bytes() } else { &host };
        let query = Query { draw, now, ..Query::new(TrunkId(from), host, &user) };
        if usize::from(from) < routing.origins.len() {
            went(&routing, query);
        }
        routing.route(query);
    }
}
