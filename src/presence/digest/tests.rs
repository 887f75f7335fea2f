use super::*;

/// The example of RFC 2617 section 3.5.
const RFC_2617: &str = "Digest realm=\"testrealm@host.com\", qop=\"auth,auth-int\", \
    nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"";

fn response(challenge: &str, credentials: &Credentials, proof: &Proof<'_>) -> String {
    let value = Challenge::read(challenge.as_bytes()).unwrap().authorization(credentials, proof);
    let (_, rest) = value.split_once("response=\"").unwrap();
    rest.split_once('"').unwrap().0.to_owned()
}

fn mufasa(password: &str) -> Credentials {
    Credentials::new("Mufasa", password)
}

const GET: Proof<'static> = Proof { method: "GET", uri: "/dir/index.html", body: b"", count: 1, cnonce: "0a4f113b" };

#[test]
fn the_example_of_rfc_2617() {
    let credentials = mufasa("Circle Of Life");
    assert_eq!(response(RFC_2617, &credentials, &GET), "6629fae49393a05397450978507c4ef1");
    let value = Challenge::read(RFC_2617.as_bytes()).unwrap().authorization(&credentials, &GET);
    assert_eq!(
        value,
        "Digest username=\"Mufasa\", realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", \
         uri=\"/dir/index.html\", response=\"6629fae49393a05397450978507c4ef1\", \
         opaque=\"5ccc069c403ebaf9f0171e9517f40e41\", qop=auth, nc=00000001, cnonce=\"0a4f113b\""
    );
}

#[test]
fn without_a_qop_it_is_rfc_2069() {
    let challenge = RFC_2617.replace("qop=\"auth,auth-int\", ", "");
    // As computed by curl and by RFC 2069's errata for this secret.
    assert_eq!(response(&challenge, &mufasa("CircleOfLife"), &GET), "1949323746fe6a43ef61f9606e7febea");
    let value = Challenge::read(challenge.as_bytes()).unwrap().authorization(&mufasa("CircleOfLife"), &GET);
    assert!(!value.contains("cnonce") && !value.contains("qop"), "{value}");
}

#[test]
fn the_examples_of_rfc_7616_section_3_9_1() {
    let credentials = mufasa("Circle of Life");
    let proof = Proof { cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", ..GET };
    let challenge = |algorithm: &str| {
        format!(
            "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
             nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
        )
    };
    assert_eq!(response(&challenge("MD5"), &credentials, &proof), "8ca523f5e9506fed4657c9700eebdbec");
    assert_eq!(
        response(&challenge("SHA-256"), &credentials, &proof),
        "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
    );
}

#[test]
fn the_example_of_rfc_7616_section_3_9_2_as_its_erratum_has_it() {
    let credentials = Credentials::new("J\u{e4}s\u{f8}n Doe", "Secret, or not?");
    let challenge = "Digest realm=\"api@example.org\", qop=\"auth\", algorithm=SHA-512-256, \
        nonce=\"5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK\", opaque=\"HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS\", \
        charset=UTF-8, userhash=true";
    let proof = Proof {
        method: "GET",
        uri: "/doe.json",
        body: b"",
        count: 1,
        cnonce: "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
    };
    let value = Challenge::read(challenge.as_bytes()).unwrap().authorization(&credentials, &proof);
    assert!(value.contains("username=\"793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b\""), "{value}");
    assert!(value.contains("response=\"3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5\""), "{value}");
    assert!(value.ends_with("userhash=true"));
}

#[test]
fn a_session_and_the_body_change_the_response() {
    let credentials = mufasa("Circle Of Life");
    let plain = response(RFC_2617, &credentials, &GET);
    let session = response(&format!("{RFC_2617}, algorithm=MD5-sess"), &credentials, &GET);
    let body = RFC_2617.replace("auth,auth-int", "auth-int");
    let empty = response(&body, &credentials, &GET);
    let full = response(&body, &credentials, &Proof { body: b"x", ..GET });
    let later = response(RFC_2617, &credentials, &Proof { count: 2, ..GET });
    let all = [plain, session, empty, full, later];
    for (at, one) in all.iter().enumerate() {
        assert!(!all[at + 1..].contains(one), "{all:?}");
    }
}

#[test]
fn the_strongest_challenge_is_taken_and_what_is_not_known_is_passed_over() {
    let of = |algorithm: &str| format!("Digest realm=\"{algorithm}\", nonce=\"n\", algorithm={algorithm}");
    let strongest = |values: &[&str]| {
        let values: Vec<String> = values.iter().map(|algorithm| of(algorithm)).collect();
        Challenge::strongest(values.iter().map(|value| value.as_bytes())).map(|challenge| challenge.realm)
    };
    assert_eq!(strongest(&["MD5", "SHA-256"]).as_deref(), Some("SHA-256"));
    assert_eq!(strongest(&["SHA-512-256-sess", "SHA-256", "MD5"]).as_deref(), Some("SHA-512-256-sess"));
    assert_eq!(strongest(&["SHA3-256", "md5"]).as_deref(), Some("md5"));
    assert_eq!(strongest(&["AKAv1-MD5"]), None);
}

#[test]
fn challenges_are_read_as_they_come() {
    let read = |text: &str| Challenge::read(text.as_bytes());
    let odd = read("digest\tNonce = \"a,b\" ,, stale=TRUE,realm=\"say \\\"hi\\\" \\\\\" , x-more=1, qop=auth").unwrap();
    assert_eq!((&*odd.realm, &*odd.nonce, odd.stale), ("say \"hi\" \\", "a,b", true));
    assert_eq!((odd.quality, odd.algorithm, odd.session), (Some(Quality::Auth), Algorithm::Md5, false));
    let back = odd.authorization(&mufasa("x"), &GET);
    assert!(back.contains("realm=\"say \\\"hi\\\" \\\\\""), "{back}");
    for none in [
        "",
        "Digest",
        "Digest realm=\"x\"",
        "Digest nonce=\"x\"",
        "Basic realm=\"x\", nonce=\"y\"",
        "Digest realm=\"x, nonce=y",
        "Digest realm=\"x\", nonce=\"y\", qop=\"token\"",
        "Digest realm=\"x\u{7}\", nonce=\"y\"",
    ] {
        assert_eq!(read(none), None, "{none}");
    }
}

#[test]
fn passwords_are_not_shown() {
    let shown = format!("{:?}", Credentials::new("edge", "hunter2"));
    assert!(shown.contains("edge") && !shown.contains("hunter2"), "{shown}");
}

proptest::proptest! {
    #[test]
    fn whatever_a_server_sends_becomes_no_header_of_its_own(text in "(Digest )?[ -~\r\n\t\u{e4}]{0,120}") {
        if let Some(challenge) = Challenge::read(text.as_bytes()) {
            let value = challenge.authorization(&mufasa("x"), &GET);
            proptest::prop_assert!(!value.contains(['\r', '\n']), "{value:?}");
        }
    }

    #[test]
    fn challenges_of_any_texts_come_back_as_they_were(realm in "[ -~]{0,40}", nonce in "[ -~]{1,40}") {
        let text = format!("Digest realm=\"{}\", nonce=\"{}\", qop=\"auth\"", quoted(&realm), quoted(&nonce));
        let challenge = Challenge::read(text.as_bytes()).unwrap();
        proptest::prop_assert_eq!((&*challenge.realm, &*challenge.nonce), (&*realm, &*nonce));
    }
}
