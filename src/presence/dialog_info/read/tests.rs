use super::*;

fn parse(text: &str) -> DialogInfo {
    read(text.as_bytes(), 65_536).unwrap_or_else(|fault| panic!("{text}: {fault}"))
}

#[test]
fn a_whole_document_is_read() {
    let info = parse(
        r#"<?xml version="1.0"?>
<dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="7" state="partial" entity="sip:401@pbx.example">
  <dialog id="as7d900as8" call-id="a84b4c76e66710" local-tag="1928301774" remote-tag="hh76a" direction="initiator">
    <state event="local-bye" code="200">confirmed</state>
    <duration>274</duration>
    <local>
      <identity display="Alice &amp; Co">sip:401@pbx.example</identity>
      <target uri="sip:401@192.0.2.7"><param pname="+sip.rendering" pval="no"/><param pname="isfocus" pval="true"/></target>
    </local>
    <remote><identity>sip:bob@example.org</identity></remote>
    <extension xmlns="urn:x"><deep/></extension>
  </dialog>
</dialog-info>"#,
    );
    assert_eq!(
        (info.version, info.completeness, &*info.entity),
        (Some(7), Completeness::Partial, "sip:401@pbx.example")
    );
    let [dialog] = &info.dialogs[..] else { panic!("{info:?}") };
    let wanted = Dialog {
        call_id: Some("a84b4c76e66710".into()),
        local_tag: Some("1928301774".into()),
        remote_tag: Some("hh76a".into()),
        direction: Some(Direction::Initiator),
        event: Some(DialogEnd::LocalBye),
        code: Some(200),
        local: Party {
            identity: Some("sip:401@pbx.example".into()),
            display: Some("Alice & Co".into()),
            target: Some("sip:401@192.0.2.7".into()),
            rendering: Some(false),
            focus: true,
        },
        remote: Party { identity: Some("sip:bob@example.org".into()), ..Party::default() },
        ..Dialog::new("as7d900as8", DialogState::Confirmed)
    };
    assert_eq!(*dialog, wanted);
    assert!(dialog.is_held() && dialog.is_conference());
}

#[test]
fn odd_documents_are_read_liberally() {
    let dialogs = |text: &str| -> Vec<(String, DialogState, Option<Direction>)> {
        parse(text).dialogs.into_iter().map(|dialog| (dialog.id, dialog.state, dialog.direction)).collect()
    };
    // Neither version nor state, a prefix that is bound to nothing, words in other cases.
    let bare = "<di:dialog-info entity='sip:1@x'><di:dialog id='a' direction='RECIPIENT'><di:state>Early</di:state></di:dialog></di:dialog-info>";
    assert_eq!((parse(bare).version, parse(bare).completeness), (None, Completeness::Full));
    assert_eq!(dialogs(bare), [("a".into(), DialogState::Early, Some(Direction::Recipient))]);
    // No id: the Call-ID, or the place.
    let unnamed = "<dialog-info version='x' state='full'><dialog call-id='c'><state>trying</state></dialog>\
         <dialog id=''><state>confirmed</state></dialog></dialog-info>";
    assert_eq!(parse(unnamed).version, None);
    assert_eq!(
        dialogs(unnamed),
        [("c".into(), DialogState::Trying, None), ("#1".into(), DialogState::Confirmed, None)]
    );
    // A dialog without a known state is left out, others stay.
    let unknown = "<dialog-info state='full' version='1'><dialog id='a'><state>held</state></dialog><dialog id='b'/>\
         <dialog id='c'><state>terminated</state></dialog></dialog-info>";
    assert_eq!(dialogs(unknown), [("c".into(), DialogState::Terminated, None)]);
    assert!(dialogs("<dialog-info version='0' state='full' entity='sip:1@x'/>").is_empty());
}

#[test]
fn holding_and_conferences_are_told_by_parameters() {
    let party = |params: &str| {
        let text = format!(
            "<dialog-info><dialog id='a'><state>confirmed</state><remote><target uri='sip:a'>{params}</target></remote>\
             </dialog></dialog-info>"
        );
        let party = parse(&text).dialogs.remove(0).remote;
        (party.rendering, party.focus)
    };
    for (params, wanted) in [
        ("", (None, false)),
        ("<param pname='+sip.rendering' pval='no'/>", (Some(false), false)),
        ("<param pname='+sip.rendering' pval='yes'/>", (Some(true), false)),
        ("<param pname='+sip.rendering' pval='unknown'/>", (None, false)),
        ("<param pname='sip.rendering' pval='\"no\"'></param>", (Some(false), false)),
        ("<param pname='isfocus'/>", (None, true)),
        ("<param pname='+sip.isfocus' pval='true'/>", (None, true)),
        ("<param pname='isfocus' pval='false'/>", (None, false)),
        ("<other pname='isfocus'/>", (None, false)),
    ] {
        assert_eq!(party(params), wanted, "{params}");
    }
}

#[test]
fn what_is_read_is_bounded() {
    let many = "<dialog id='a'><state>early</state></dialog>".repeat(MAX_DIALOGS + 10);
    assert_eq!(parse(&format!("<dialog-info>{many}</dialog-info>")).dialogs.len(), MAX_DIALOGS);
    assert_eq!(read(b"<dialog-info/>", 5), Err(XmlFault::Large));
    assert_eq!(read(b"<presence/>", 50), Err(XmlFault::Root));
    assert_eq!(read(b"", 50), Err(XmlFault::Cut));
}
