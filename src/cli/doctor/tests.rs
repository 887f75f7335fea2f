use std::io::Write;
use std::net::UdpSocket;

use clap::Parser;

use super::report::Verdict;
use super::*;
use crate::cli::Cli;

fn arguments(config: &std::path::Path, offline: bool) -> Arguments {
    let config = config.to_str().unwrap();
    let words = ["trunkway", "doctor", "--config", config, "--patience-s", "2", "--json"];
    let offline = offline.then_some("--offline");
    match Cli::try_parse_from(words.into_iter().chain(offline)).unwrap().command {
        crate::cli::Command::Doctor(arguments) => arguments,
        other => panic!("{other:?}"),
    }
}

fn written(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn config(target: std::net::SocketAddr) -> String {
    format!(
        "[node]\nname = \"n\"\n[[listen]]\nname = \"l\"\nbind = \"udp:127.0.0.1:5060\"\n\
         [trunk.pbx]\nkind = \"pbx\"\nlisten = \"l\"\ntargets = [\"udp:{target}\"]\n\
         [tenant.contoso]\ncountry = \"GB\"\n"
    )
}

fn steps(output: &Output) -> Vec<(String, String)> {
    let report: serde_json::Value = serde_json::from_str(&output.out).unwrap();
    let steps = report["steps"].as_array().unwrap();
    steps.iter().map(|step| (step["area"].as_str().unwrap().into(), step["verdict"].as_str().unwrap().into())).collect()
}

#[test]
fn a_target_that_answers_is_told_from_one_that_does_not() {
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = peer.local_addr().unwrap();
    let file = written(&config(addr));
    let answering = std::thread::spawn(move || {
        let mut room = [0; 65_535];
        let (count, from) = peer.recv_from(&mut room).unwrap();
        let request = String::from_utf8(room[..count].to_vec()).unwrap();
        let keep = |name: &str| request.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        let lines = ["Via:", "From:", "To:", "Call-ID:", "CSeq:"].map(keep).join("\r\n");
        peer.send_to(format!("SIP/2.0 200 OK\r\n{lines}\r\nContent-Length: 0\r\n\r\n").as_bytes(), from).unwrap();
        request
    });
    let mut arguments = arguments(file.path(), false);
    arguments.trunk = Some("pbx".to_owned());
    let output = look(&arguments, false);
    let request = answering.join().unwrap();
    assert!(request.starts_with("OPTIONS sip:") && request.contains("Contact: <sip:127.0.0.1:5060"), "{request}");
    assert!(steps(&output).contains(&("targets".to_owned(), "ok".to_owned())), "{}", output.out);

    // Nobody is there any more: the machine says so, or nothing.
    let output = look(&arguments, false);
    assert_eq!(output.code, EXIT_NO);
    assert!(steps(&output).contains(&("targets".to_owned(), "fail".to_owned())), "{}", output.out);
    assert!(output.out.contains("\"advice\""));
}

#[test]
fn a_configuration_that_cannot_be_taken_ends_it() {
    let file = written("[node]\n");
    let output = look(&arguments(file.path(), true), false);
    assert_eq!(output.code, EXIT_FAULTS);
    assert!(output.err.contains("mend the configuration first"), "{}", output.err);
}

#[test]
fn who_asks_for_a_tenant_that_is_not_there_is_told() {
    let file = written(&config("127.0.0.1:5080".parse().unwrap()));
    let mut asked = arguments(file.path(), true);
    asked.tenant = Some("fabrikam".to_owned());
    let output = look(&asked, false);
    assert!(output.code != 0 && output.err.contains("no tenant `fabrikam`"), "{}", output.err);
    asked.tenant = Some("contoso".to_owned());
    let output = look(&asked, false);
    assert_eq!(output.code, EXIT_NO, "a tenant without a site gets no call: {}", output.out);
    assert!(steps(&output).contains(&("tenants".to_owned(), "fail".to_owned())));
}

#[test]
fn steps_are_shown_with_what_to_do() {
    let mut report = Report::default();
    report.add(Step::ok("names", "sbc.example.net", "leads to 203.0.113.9"));
    report.add(Step::fail("targets", "teams tls:a", "no connection").advise("look at the firewall"));
    let wanted = "\
names
  ok    sbc.example.net: leads to 203.0.113.9
targets
  FAIL  teams tls:a: no connection
        do: look at the firewall
2 steps: 1 ok, 0 to look at, 1 failed
";
    assert_eq!(report.words(), wanted);
    assert_eq!(report.steps().iter().filter(|step| step.verdict == Verdict::Fail).count(), 1);
}
