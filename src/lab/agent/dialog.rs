//! A dialog as one side keeps it (RFC 3261 section 12).

use crate::lab::message::{Address, Message, Uri};

/// The state that later requests of a call are made from.
#[derive(Clone, Debug)]
pub struct Dialog {
    pub call_id: String,
    /// From of our requests.
    pub local: String,
    /// To of our requests.
    pub remote: String,
    pub local_tag: String,
    pub remote_tag: String,
    /// Routes in the order in which they are visited.
    pub routes: Vec<String>,
    /// The Request-URI of our requests.
    pub target: String,
    pub local_cseq: u32,
    pub remote_cseq: u32,
}

impl Dialog {
    /// The dialog of the caller, made by a 2xx (RFC 3261 section 12.1.2). `own_route` is what this side recorded itself.
    pub fn of_caller(invite: &Message, answer: &Message, own_route: Option<&str>) -> Option<Self> {
        let mut routes = answer.list("Record-Route");
        routes.reverse();
        Some(Self {
            call_id: invite.call_id().to_owned(),
            local: invite.value("From")?.to_owned(),
            remote: answer.value("To")?.to_owned(),
            local_tag: invite.tag("From")?,
            remote_tag: answer.tag("To")?,
            routes: without(routes, own_route),
            target: Address::parse(answer.list("Contact").first()?)?.uri,
            local_cseq: invite.cseq()?.0,
            remote_cseq: 0,
        })
    }

    /// The dialog of the callee, made by its answer (RFC 3261 section 12.1.1).
    pub fn of_callee(invite: &Message, local_tag: &str) -> Option<Self> {
        Some(Self {
            call_id: invite.call_id().to_owned(),
            local: format!("{};tag={local_tag}", invite.value("To")?),
            remote: invite.value("From")?.to_owned(),
            local_tag: local_tag.to_owned(),
            remote_tag: invite.tag("From")?,
            routes: invite.list("Record-Route"),
            target: Address::parse(invite.list("Contact").first()?)?.uri,
            local_cseq: 1,
            remote_cseq: invite.cseq()?.0,
        })
    }

    /// The tag of the fork that answers, where it is not the first one.
    pub fn answer_as(&mut self, tag: &str) {
        self.local = self.local.replace(&format!(";tag={}", self.local_tag), &format!(";tag={tag}"));
        tag.clone_into(&mut self.local_tag);
    }

    /// Whether a request that came belongs to this dialog (RFC 3261 section 12.2.2).
    pub fn owns(&self, request: &Message) -> bool {
        request.call_id() == self.call_id
            && request.tag("To").as_deref() == Some(&self.local_tag)
            && request.tag("From").as_deref() == Some(&self.remote_tag)
    }

    /// The next request, without Via and Contact (RFC 3261 section 12.2.1.1); the next hop is beside it.
    pub fn request(&mut self, method: &str) -> (Message, String) {
        if method != "ACK" {
            self.local_cseq += 1;
        }
        let cseq = self.local_cseq;
        self.request_with(method, cseq)
    }

    /// A request with a given CSeq number, as an ACK needs it.
    pub fn request_with(&self, method: &str, cseq: u32) -> (Message, String) {
        let mut request = Message::request(method, &self.target);
        for route in &self.routes {
            request.push("Route", route.clone());
        }
        request.push("From", self.local.clone());
        request.push("To", self.remote.clone());
        request.push("Call-ID", self.call_id.clone());
        request.push("CSeq", format!("{cseq} {method}"));
        request.push("Max-Forwards", "70");
        let first = self.routes.first().and_then(|route| Address::parse(route)).map(|route| route.uri);
        (request, first.unwrap_or_else(|| self.target.clone()))
    }

    /// Takes the remote target of a target refresh (RFC 3261 section 12.2.1.2).
    pub fn refresh(&mut self, message: &Message) {
        if let Some(contact) = message.list("Contact").first().and_then(|contact| Address::parse(contact)) {
            self.target = contact.uri;
        }
    }

    /// What is wrong with the routes (RFC 3261 section 16.6 item 4).
    pub fn route_faults(&self) -> Vec<String> {
        let strict = self.routes.iter().filter(|route| {
            let uri = Address::parse(route).and_then(|route| Uri::parse(&route.uri));
            uri.is_none_or(|uri| uri.parameter("lr").is_none())
        });
        strict.map(|route| format!("Record-Route {route} without lr (RFC 3261 section 16.6 item 4)")).collect()
    }
}

/// Routes without those of this side: its own front has passed them already.
fn without(routes: Vec<String>, own: Option<&str>) -> Vec<String> {
    routes.into_iter().filter(|route| Some(route.as_str()) != own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite() -> Message {
        let mut invite = Message::request("INVITE", "sip:b@edge");
        for (name, value) in [
            ("From", "<sip:a@a>;tag=1"),
            ("To", "<sip:b@edge>"),
            ("Call-ID", "c"),
            ("CSeq", "9 INVITE"),
            ("Contact", "<sip:a@192.0.2.1>"),
            ("Record-Route", "<sip:r2;lr>, <sip:r1;lr>"),
        ] {
            invite.push(name, value);
        }
        invite
    }

    #[test]
    fn caller_walks_the_recorded_routes_backwards_and_callee_forwards() {
        let mut answer = Message::response(200, "OK");
        for (name, value) in [
            ("To", "<sip:b@edge>;tag=2"),
            ("Contact", "<sip:b@192.0.2.2>"),
            ("Record-Route", "<sip:r2;lr>"),
            ("Record-Route", "<sip:r1;lr>"),
        ] {
            answer.push(name, value);
        }
        let mut caller = Dialog::of_caller(&invite(), &answer, None).unwrap();
        let (bye, hop) = caller.request("BYE");
        assert_eq!(
            (bye.list("Route"), hop.as_str()),
            (vec!["<sip:r1;lr>".to_owned(), "<sip:r2;lr>".into()], "sip:r1;lr")
        );
        assert_eq!((bye.uri(), bye.cseq()), (Some("sip:b@192.0.2.2"), Some((10, "BYE"))));

        let mut callee = Dialog::of_callee(&invite(), "2").unwrap();
        assert!(callee.owns(&bye));
        let (bye, hop) = callee.request("BYE");
        assert_eq!((bye.uri(), hop.as_str()), (Some("sip:a@192.0.2.1"), "sip:r2;lr"));
        assert!(caller.owns(&bye));
        let own = Dialog::of_caller(&invite(), &answer, Some("<sip:r1;lr>")).unwrap();
        assert_eq!(own.routes, ["<sip:r2;lr>"]);
    }

    #[test]
    fn strict_routes_are_a_fault() {
        let mut dialog = Dialog::of_callee(&invite(), "2").unwrap();
        assert!(dialog.route_faults().is_empty());
        dialog.routes.push("<sip:r0>".into());
        assert_eq!(dialog.route_faults().len(), 1);
    }
}
