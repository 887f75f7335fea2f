//! How long the URIs become that the edge makes, for Contacts and route sets as they are met.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;

/// The longest name that Teams takes (63 characters), and what stands behind it.
const LONGEST_HOST: &str = "sbc-of-the-north-west-region-17.customers.contoso-example.co.uk:5061;transport=tls";

/// Contacts and Record-Routes of peers, in the shapes that they are known for.
const SHAPES: &[(&str, &[&str])] = &[
    (
        "sip:api-du-a-usea.pstnhub.microsoft.com:443;x-i=b0a1c2d3-e4f5-4a6b-8c7d-9e0f1a2b3c4d;x-c=c0ffee11c0ffee22c0ffee33c0ffee4d/s/1/0a1b2c3d4e5f60718293a4b5c6d7e8f9",
        &["<sip:sip-du-a-us.pstnhub.microsoft.com:5061;transport=tls;lr>"],
    ),
    (
        "sip:api-du-a-usgv.pstnhub.gov.teams.microsoft.us:443;x-i=b0a1c2d3-e4f5-4a6b-8c7d-9e0f1a2b3c4d;x-c=c0ffee11c0ffee22c0ffee33c0ffee4d/s/1/0a1b2c3d4e5f60718293a4b5c6d7e8f9",
        &["<sip:sip-du-a-usgv.pstnhub.gov.teams.microsoft.us:5061;transport=tls;lr>"],
    ),
    ("sip:+442071838750@203.0.113.17:5060;transport=udp", &[]),
    ("sip:asterisk@198.51.100.20:5060", &["<sip:198.51.100.1;lr>"]),
    (
        "sip:4001@10.20.30.40:5062;ob",
        &["<sip:203.0.113.10;r2=on;lr;ftag=gK0c6d8a2b>", "<sip:10.0.0.1;r2=on;lr;ftag=gK0c6d8a2b>"],
    ),
    (
        "sip:+442071838750@[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:5060;transport=tcp",
        &["<sip:[2001:db8:1:2:3:4:5:6]:5060;lr>", "<sip:[2001:db8:7:8:9:a:b:c]:5060;lr>"],
    ),
    (
        "sip:sgc_c@192.0.2.70;transport=udp",
        &[
            "<sip:192.0.2.65;transport=udp;lr>",
            "<sip:icscf.ims.mnc015.mcc234.3gppnetwork.org:5060;lr>",
            "<sip:198.51.100.33:5060;lr;did=5a2.6d31>",
        ],
    ),
    (
        "sip:mod_sofia@203.0.113.80:5080;transport=tcp;gw=carrier-one",
        &["<sip:edge1.carrier.example.net;transport=tcp;lr;ftag=9vXHp4X7U>"],
    ),
];

struct Lengths {
    text: usize,
    plain: usize,
    token: usize,
    uri: usize,
}

const HEADING: &str = " text plain token   uri";

impl Lengths {
    fn print(&self, name: &str) {
        println!("{:>5} {:>5} {:>5} {:>5}  {name}", self.text, self.plain, self.token, self.uri);
    }
}

/// Seals with every field at its longest and checks that it opens again.
fn lengths(target: &str, routes: &[&str]) -> Lengths {
    let routes: Vec<&[u8]> = routes.iter().map(|route| route.as_bytes()).collect();
    sealed(&longest(target.as_bytes(), &routes)).unwrap_or_else(|error| panic!("{target} {routes:?}: {error}"))
}

/// What a transfer adds: the far side's tag, as Teams makes them, the near one's, and numbers of the edge's own.
fn transferred(target: &str, routes: &[&str]) -> Result<Lengths, SealError> {
    let routes: Vec<&[u8]> = routes.iter().map(|route| route.as_bytes()).collect();
    sealed(&LegState {
        from_tag: Some(b"as7d3f0e61"),
        to_tag: Some(b"6a1f2b3c4d5e4f60a7b8c9d0e1f2a3b4"),
        back_offset: 1 << 20,
        ..longest(target.as_bytes(), &routes)
    })
}

fn longest<'a>(target: &'a [u8], routes: &[&'a [u8]]) -> LegState<'a> {
    LegState {
        cseq_offset: 1 << 20,
        created: NOW,
        far: u32::MAX,
        tenant: Some(u32::MAX),
        site: Some(u32::MAX),
        engine: Some(255),
        near: Side::Caller { leg: 99 },
        hold: Hold::Both,
        target,
        routes: Routes::of(routes.iter().copied()).unwrap(),
        ..LegState::default()
    }
}

/// Seals a state and checks that it opens again.
fn sealed(state: &LegState<'_>) -> Result<Lengths, SealError> {
    let (ring, mut scratch) = (ring(1, None), Vec::new());
    let mut plain = super::super::envelope::Buffer::new();
    state.pack(&mut plain).unwrap();
    let mut uri = b"sip:".to_vec();
    ring.seal_leg(ring.current(), state, HERE, TokenRoom::beside(LONGEST_HOST.len()), &mut uri)?;
    let token = uri.len() - 4;
    let opened = ring.open(&uri[4..], HERE, FRESH, &mut scratch).unwrap();
    assert_eq!(opened.content, Content::Leg(*state));
    uri.push(b'@');
    uri.extend_from_slice(LONGEST_HOST.as_bytes());
    assert!(uri.len() <= URI_LIMIT);
    let text = state.texts().map(<[u8]>::len).sum();
    Ok(Lengths { text, plain: plain.len(), token, uri: uri.len() })
}

#[test]
fn uris_stay_under_255_characters_for_the_shapes_that_peers_have() {
    assert_eq!(LONGEST_HOST.find(':'), Some(63));
    println!("{HEADING}");
    for (target, routes) in SHAPES {
        let lengths = lengths(target, routes);
        lengths.print(target);
        assert!(lengths.plain < lengths.text, "packing makes it shorter: {target}");
        assert!(lengths.token > lengths.plain && lengths.uri <= URI_LIMIT);
    }
}

/// The values of a header in angle brackets, brackets left out.
fn values<'a>(message: &'a str, names: &[&str]) -> Vec<&'a str> {
    let head = message.split("\r\n\r\n").next().unwrap();
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    lines
        .filter(|(name, _)| names.iter().any(|wanted| name.trim().eq_ignore_ascii_case(wanted)))
        .filter_map(|(_, value)| value.split_once('<')?.1.split_once('>').map(|(uri, _)| uri))
        .collect()
}

#[test]
fn uris_stay_under_255_characters_for_every_message_at_hand() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if !data.is_dir() {
        return;
    }
    let (mut targets, mut route_sets) = (BTreeSet::new(), BTreeSet::new());
    println!("{HEADING}");
    for folder in ["teams-vectors", "teams-traces"] {
        let mut files: Vec<_> =
            std::fs::read_dir(data.join(folder)).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "sip")) {
            let message = std::fs::read_to_string(file).unwrap();
            let routes: Vec<_> =
                values(&message, &["Record-Route", "Route"]).into_iter().map(|uri| format!("<{uri}>")).collect();
            for target in values(&message, &["Contact", "m"]) {
                let name = file.file_name().unwrap().to_string_lossy();
                lengths(target, &routes.iter().map(String::as_str).collect::<Vec<_>>()).print(&name);
                targets.insert(target.to_owned());
            }
            route_sets.insert(routes);
        }
    }
    assert!(targets.len() > 10 && route_sets.len() > 2, "{} {}", targets.len(), route_sets.len());
    // The worst of both, whether they met or not.
    let mut longest = 0;
    for target in &targets {
        for routes in &route_sets {
            let routes: Vec<_> = routes.iter().map(String::as_str).collect();
            longest = longest.max(lengths(target, &routes).uri);
        }
    }
    println!("longest URI: {longest}");
    let (mut fit, mut kept, mut longest) = (0, 0, 0);
    for target in &targets {
        for routes in &route_sets {
            match transferred(target, &routes.iter().map(String::as_str).collect::<Vec<_>>()) {
                Ok(lengths) => (fit, longest) = (fit + 1, lengths.uri.max(longest)),
                // The call store has it then.
                Err(SealError::DoesNotFit(token)) => {
                    (kept, longest) = (kept + 1, longest.max("sip:@".len() + token + LONGEST_HOST.len()));
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    println!("transferred: {fit} fit and {kept} do not; longest URI, were it written: {longest}");
    assert!(fit > 0);
}
