//! Messages of the shape that the edge sees all day; made up, numbers and names from the ranges for examples.

/// The INVITE of a call from Teams: upper-case names, 20 headers, about 1.2 KB. The digits of `call` tell calls apart.
pub fn teams_invite(call: u32, sent_by: &str) -> String {
    let body = "v=0\r\no=- 42 0 IN IP4 192.0.2.200\r\ns=session\r\nc=IN IP4 192.0.2.200\r\nb=CT:10000000\r\nt=0 0\r\n\
                m=audio 50018 RTP/SAVP 104 8 0 101\r\na=rtpmap:104 SILK/16000\r\na=rtpmap:101 telephone-event/8000\r\n\
                a=ptime:20\r\n";
    format!(
        "INVITE sip:+441632760001@sbc.example.net:5060;user=phone SIP/2.0\r\n\
         FROM: John Doe<sip:+14255550100@sip.teams.example:5060;user=phone>;tag=37b5{call:08x}\r\n\
         TO: <sip:+441632760001@sbc.example.net:5060;user=phone>\r\n\
         CSEQ: 1 INVITE\r\n\
         CALL-ID: f6e24ce6a7925eb9bb8c{call:08x}\r\n\
         MAX-FORWARDS: 70\r\n\
         VIA: SIP/2.0/UDP {sent_by};branch=z9hG4bKbfe5e3{call:08x};rport\r\n\
         RECORD-ROUTE: <sip:{sent_by};lr>\r\n\
         CONTACT: <sip:api-du-b-euwe.teams.example:443;x-i=5f06{call:08x};x-c=b3b4bbe2>\r\n\
         CONTENT-LENGTH: {}\r\n\
         MIN-SE: 300\r\n\
         SUPPORTED: histinfo,timer\r\n\
         USER-AGENT: Stand-in/1.0 Teams shape\r\n\
         CONTENT-TYPE: application/sdp\r\n\
         ALLOW: INVITE,ACK,OPTIONS,CANCEL,BYE,NOTIFY\r\n\
         P-ASSERTED-IDENTITY: <tel:+14255550100>,<sip:john.doe@contoso.example>\r\n\
         PRIVACY: none\r\n\
         HISTORY-INFO: <sip:+441632760001@sbc.example.net>;index=1\r\n\
         SESSION-EXPIRES: 3600;refresher=uac\r\n\
         X-MS-Trace: 0f1e2d3c4b5a\r\n\
         DATE: Sat, 21 Nov 2026 12:00:00 GMT\r\n\
         \r\n{body}",
        body.len()
    )
}
