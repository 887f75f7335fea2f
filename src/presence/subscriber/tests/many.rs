//! User presence, resource lists, and many lines.

use super::*;

#[test]
fn user_presence_is_read_with_the_tenants_words() {
    let (mut world, ask) = World::asked(PERSON);
    world.subscriber.set_aliases(TENANT, Aliases::from([("siesta".to_owned(), UserState::Absent)]));
    world.reply(&ask, 200, "Expires: 3600\r\n");
    let mut notify = |cseq: u32, document: &str| {
        let rest = body("active", "application/pidf+xml", document);
        let own = ask.from.replace("{local}", "edge");
        let text = format!(
            "NOTIFY sip:{}@edge SIP/2.0\r\nVia: SIP/2.0/UDP p\r\nFrom: <sip:401@pbx>;tag=n1\r\nTo: {own}\r\n\
             Call-ID: {}\r\nCSeq: {cseq} NOTIFY\r\nContact: <sip:n1@192.0.2.9>\r\nEvent: presence\r\n{rest}",
            ask.contact_user, ask.call_id
        );
        assert_eq!(world.raw_notify(text), 200, "{document}");
        std::mem::take(&mut world.told).into_iter().map(|told| (told.source, told.report)).collect::<Vec<_>>()
    };
    let person = |word: &str| {
        format!("<presence><tuple id='t'><status><basic>open</basic></status><note>{word}</note></tuple></presence>")
    };
    for (cseq, document, wanted) in [
        (1, person(""), Some(Report::User(UserState::Available))),
        (2, person("Siesta"), Some(Report::User(UserState::Absent))),
        // The edge's own words, come back.
        (3, person("dnd").replace("id='t'", "id='trunkway-dnd'"), None),
        (4, person("meeting"), Some(Report::User(UserState::Meeting))),
    ] {
        assert_eq!(notify(cseq, &document), [(Source::PbxPresence, wanted)], "{document}");
    }
}

/// A NOTIFY of a list: entries by user part, with their dialogs.
fn list(version: u32, whole: bool, entries: &[(&str, &str)]) -> String {
    let resources: String = entries
        .iter()
        .map(|(user, _)| {
            format!(
                "<resource uri='sip:{user}@pbx'><instance id='i{user}' state='active' cid='{user}@pbx'/></resource>"
            )
        })
        .collect();
    let root = format!("<list uri='sip:all@pbx' version='{version}' fullState='{whole}'>{resources}</list>");
    let mut text = format!("--b\r\nContent-ID: <root@pbx>\r\nContent-Type: application/rlmi+xml\r\n\r\n{root}\r\n");
    for (user, dialogs) in entries {
        text.push_str(&format!(
            "--b\r\nContent-ID: <{user}@pbx>\r\nContent-Type: application/dialog-info+xml\r\n\r\n\
             <dialog-info version='{version}' state='full' entity='sip:{user}@pbx'>{dialogs}</dialog-info>\r\n"
        ));
    }
    text.push_str("--b--\r\n");
    format!(
        "Require: eventlist\r\n{}",
        body("active", "multipart/related;type=\"application/rlmi+xml\";boundary=b", &text)
    )
}

#[test]
fn a_resource_list_brings_the_lines_of_all_its_members() {
    let mut world = World::new(SETTINGS, 1);
    let mut out = Vec::new();
    let members = [(ALICE, "401"), (UserKey(2), "402")];
    for (user, line) in members {
        world.subscriber.set_member(world.now, TENANT, user, 0, Some(line), &mut out);
    }
    let at = Line { trunk: TrunkId(0), user: "all".into() };
    world.subscriber.set_list(world.now, TENANT, Some(at.clone()), &mut out);
    world.subscriber.set_list(world.now, TENANT, Some(at), &mut out);
    world.pass(Duration::ZERO);
    let ask = world.ask();
    assert_eq!((&*ask.uri, header(&ask, "Supported")), ("sip:all@{target}", Some("eventlist")));
    assert!(header(&ask, "Accept").is_some_and(|accept| accept.contains("multipart/related")));
    world.reply(&ask, 200, "Expires: 3600\r\n");
    let told = |world: &mut World| -> Vec<(u32, Option<Report>)> {
        let mut told: Vec<_> =
            std::mem::take(&mut world.told).into_iter().map(|told| (told.user.0, told.report)).collect();
        told.sort_by_key(|&(user, _)| user);
        told
    };
    assert_eq!(world.notify(&ask, "n1", 1, &list(0, true, &[("401", ""), ("402", TALKS), ("499", TALKS)])), 200);
    assert_eq!(told(&mut world), [(1, Some(AVAILABLE)), (2, Some(BUSY))]);
    assert_eq!(world.notify(&ask, "n1", 2, &list(1, false, &[("401", TALKS)])), 200);
    assert_eq!(told(&mut world), [(1, Some(BUSY))]);
    // A gap.
    assert_eq!(world.notify(&ask, "n1", 3, &list(3, false, &[("402", "")])), 200);
    assert_eq!(told(&mut world), []);
    world.pass(SECOND);
    let refresh = world.ask();
    world.reply(&refresh, 200, "Expires: 3600\r\n");
    assert_eq!(world.notify(&ask, "n1", 4, &list(4, true, &[("402", "")])), 200);
    assert_eq!(told(&mut world), [(1, None), (2, Some(AVAILABLE))]);
    // One who comes later is asked for.
    world.subscriber.set_member(world.now, TENANT, UserKey(3), 0, Some("403"), &mut out);
    world.pass(SECOND);
    let refresh = world.ask();
    world.reply(&refresh, 200, "Expires: 3600\r\n");
    world.notify(&ask, "n1", 5, &list(5, true, &[("402", ""), ("403", TALKS)]));
    assert_eq!(told(&mut world), [(3, Some(BUSY))]);
    // Not a list at all.
    assert_eq!(world.notify(&ask, "n1", 6, &full(0, TALKS)), 415);
    // What dies takes everybody with it.
    world.pass(HOUR * 3);
    assert_eq!(told(&mut world), [(2, None), (3, None)]);
    assert!(world.subscriber.list_standing(TENANT).is_some_and(|standing| standing.word != "up"));
    world.subscriber.set_list(world.now, TENANT, None, &mut out);
    assert!(world.subscriber.list_standing(TENANT).is_none());
}

#[test]
fn ten_thousand_lines_are_set_up_at_the_pace_and_refreshed_over_the_interval() {
    let mut world = World::new(SETTINGS, 1);
    for user in 0..10_000 {
        world.set(LineOf { user: UserKey(user), ..LINE }, Some("401"));
    }
    let began = world.now;
    let mut seconds = vec![0_u32; 4_000];
    let mut first_round = 0;
    for _ in 0..4_000 {
        world.pass(SECOND);
        for (at, ask) in std::mem::take(&mut world.asks) {
            if !ask.to.contains(";tag=") {
                seconds[at.since(began).as_secs() as usize] += 1;
                world.reply(&ask, 200, "Expires: 3600\r\n");
                world.notify(&ask, "n1", 1, &full(0, ""));
                first_round += 1;
            } else {
                seconds[at.since(began).as_secs() as usize] += 1;
                world.reply(&ask, 200, "Expires: 3600\r\n");
            }
        }
    }
    assert_eq!(first_round, 10_000);
    assert!(seconds.iter().all(|&count| count <= 52), "{:?}", seconds.iter().max());
    assert_eq!(seconds[..199].iter().filter(|&&count| count < 48).count(), 0, "{:?}", &seconds[..200]);
    // Between the set-up and the first end: no second has more than a few times its share.
    let refreshes = &seconds[1_100..3_200];
    assert!(refreshes.iter().all(|&count| count < 20), "{:?}", refreshes.iter().max());
    assert_eq!(world.subscriber.counts().up, 10_000);
    assert_eq!(world.subscriber.counts().lost, 0);
}

#[test]
fn a_line_costs_little_memory() {
    const LINES: u32 = 10_000;
    let mut world = World::new(SETTINGS, 1);
    for user in 0..LINES {
        world.set(LineOf { user: UserKey(user), ..LINE }, Some("+4989123456"));
    }
    while !world.asks.is_empty() || world.subscriber.counts().up < LINES as usize {
        for (_, ask) in std::mem::take(&mut world.asks) {
            world.reply(&ask, 200, "Expires: 3600\r\n");
            world.notify(&ask, "notifier-with-a-long-tag-1234567890", 1, &full(0, TALKS));
        }
        world.told.clear();
        world.pass(SECOND);
    }
    let each = world.subscriber.heap_bytes() / LINES as usize;
    assert!(each < 640, "{each} bytes a line");
}

#[test]
fn lines_beyond_the_limit_are_counted() {
    let mut world = World::new(Settings { max_subscriptions: 2, ..SETTINGS }, 1);
    for user in 0..4 {
        world.set(LineOf { user: UserKey(user), ..LINE }, Some("401"));
    }
    let counts = world.subscriber.counts();
    assert_eq!((counts.subscriptions, counts.over_limit, counts.waiting), (2, 2, 2));
    world.set(LineOf { user: UserKey(0), ..LINE }, None);
    world.set(LineOf { user: UserKey(3), ..LINE }, Some("401"));
    assert_eq!(world.subscriber.counts().subscriptions, 2);
    assert_eq!(world.word(), "queued");
}
