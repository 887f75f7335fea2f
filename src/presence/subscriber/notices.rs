//! NOTIFY requests: whose they are, what they say, what follows from it (RFC 6665 section 4.1.3).

use std::sync::Arc;
use std::time::Duration;

use super::asks::{Ending, PIDF};
use super::backoff::Verdict;
use super::entity::{Applied, Entity, LineState, greater};
use super::leg::{Leg, MAX_LEGS};
use super::list::{ListState, Notice};
use super::notify::{SubscriptionState, event};
use super::pace::Rank;
use super::related::{self, Part, media_type};
use super::rlmi::{self, List};
use super::subscription::{Stage, Subscription};
use super::{Output, Package, Subscriber, names};
use crate::presence::agent::{Answer, Arrived, Handle, Say};
use crate::presence::dialog_info::{self, DialogInfo};
use crate::presence::pidf::{self, Aliases};
use crate::presence::xml::XmlFault;
use crate::presence::{Report, TenantKey};
use crate::sip::{HeaderName, Message};
use crate::transaction::Moment;

/// A NOTIFY whose end differs by less from what was known changes nothing.
const SAME_END: Duration = Duration::from_secs(3);

/// Why a NOTIFY is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Malformed,
    Method,
    MediaType,
    Unknown,
    Event,
    /// RFC 3261 section 12.2.2: a lower CSeq than before.
    Order,
}

impl Refusal {
    const fn status(self) -> (u16, &'static str) {
        match self {
            Self::Malformed => (400, "Bad Request"),
            Self::Method => (405, "Method Not Allowed"),
            Self::MediaType => (415, "Unsupported Media Type"),
            Self::Unknown => (481, "Subscription Does Not Exist"),
            Self::Event => (489, "Bad Event"),
            Self::Order => (500, "Server Internal Error"),
        }
    }
}

/// What a document says.
enum Content<'a> {
    Nothing,
    Dialogs(DialogInfo),
    Person(Option<Report>),
    List(List, Vec<Part<'a>>),
}

/// Where a NOTIFY belongs.
#[derive(Clone, Copy)]
struct Belongs {
    slot: u32,
    /// The dialog; `None`: it has none yet.
    place: Option<usize>,
}

impl Subscriber {
    pub(super) fn take_notify(&mut self, now: Moment, arrived: &Arrived, out: &mut Vec<Output>) {
        let notify = &arrived.message;
        let taken = self.find(notify).and_then(|belongs| {
            let content = self.read(belongs.slot, notify)?;
            Ok((belongs, content))
        });
        let (belongs, content) = match taken {
            Ok(taken) => taken,
            Err(refusal) => return self.refuse(arrived.handle, refusal, out),
        };
        match self.follow(now, belongs, notify, content, arrived.handle, out) {
            Ok(()) => self.counts.notifies += 1,
            Err(refusal) => self.refuse(arrived.handle, refusal, out),
        }
        self.cover(now, belongs.slot);
        self.end_leaving(belongs.slot);
    }

    fn refuse(&mut self, handle: Handle, refusal: Refusal, out: &mut Vec<Output>) {
        self.counts.notify_faults += 1;
        let (status, reason) = refusal.status();
        let headers = match refusal {
            Refusal::Method => vec![("Allow", "NOTIFY".to_owned())],
            Refusal::Event => vec![("Allow-Events", "dialog, presence".to_owned())],
            Refusal::MediaType => {
                vec![(
                    "Accept",
                    format!("{}, {PIDF}, multipart/related, {}", dialog_info::MEDIA_TYPE, rlmi::MEDIA_TYPE),
                )]
            }
            _ => Vec::new(),
        };
        out.push(Output::Say(Say::Answer(answer(handle, status, reason, headers))));
    }

    /// Whose NOTIFY it is. Who does not know the Call-ID and the tag, which nobody can guess, is not believed.
    fn find(&self, notify: &Message) -> Result<Belongs, Refusal> {
        if notify.method() != b"NOTIFY" {
            return Err(Refusal::Method);
        }
        let uri = notify.uri().map_err(|_| Refusal::Malformed)?;
        let named = uri.user.and_then(names::read_contact_user);
        let (slot, generation) = named.ok_or(Refusal::Unknown)?;
        let subscription = self.get(slot).filter(|known| known.generation == generation).ok_or(Refusal::Unknown)?;
        let call_id = notify.call_id().map_err(|_| Refusal::Malformed)?;
        let own_tag = notify.to_tag().unwrap_or_default();
        let attempt = subscription.attempt;
        if call_id != self.names.call_id(generation, attempt).as_bytes()
            || own_tag != self.names.tag(generation, attempt).as_bytes()
        {
            return Err(Refusal::Unknown);
        }
        let package = event(notify).unwrap_or(subscription.package().event().as_bytes());
        if !package.eq_ignore_ascii_case(subscription.package().event().as_bytes()) {
            return Err(Refusal::Event);
        }
        let tag = tag_of(notify)?;
        let place = subscription.legs.iter().position(|leg| *leg.tag == *tag);
        if place.is_none() && !subscription.listens() {
            return Err(Refusal::Unknown);
        }
        Ok(Belongs { slot, place })
    }

    /// Reads the document as the package has it.
    fn read<'a>(&mut self, slot: u32, notify: &'a Message) -> Result<Content<'a>, Refusal> {
        let subscription = self.get(slot).ok_or(Refusal::Unknown)?;
        let content = read(subscription, notify, self.settings.max_document_bytes, self.aliases(subscription.tenant));
        content.map_err(|fault| match fault {
            ReadFault::MediaType => Refusal::MediaType,
            ReadFault::Xml(fault) => {
                tracing::debug!(%fault, "a document of a PBX");
                self.counts.unreadable += 1;
                Refusal::Malformed
            }
        })
    }

    fn aliases(&self, tenant: TenantKey) -> Option<&Arc<Aliases>> {
        self.aliases.get(&tenant)
    }

    /// Takes a NOTIFY that belongs here, and answers it.
    fn follow(
        &mut self,
        now: Moment,
        belongs: Belongs,
        notify: &Message,
        content: Content<'_>,
        handle: Handle,
        out: &mut Vec<Output>,
    ) -> Result<(), Refusal> {
        let Belongs { slot, place } = belongs;
        let state = SubscriptionState::of(notify);
        let cseq = notify.cseq().map_err(|_| Refusal::Malformed)?.number;
        let heard = self.leg_mut(slot, place).map(|leg| leg.heard);
        if heard.is_some_and(|heard| cseq < heard) {
            return Err(Refusal::Order);
        }
        let ends = matches!(state, SubscriptionState::Terminated { .. });
        let made = match place {
            Some(place) => Some(place),
            // A notifier that only says goodbye needs no dialog.
            None if ends && matches!(content, Content::Nothing) => None,
            None => Some(self.add_leg(now, slot, notify)?),
        };
        out.push(Output::Say(Say::Answer(answer(handle, 200, "OK", Vec::new()))));
        // What was taken already, and is repeated, changes nothing.
        if heard == Some(cseq) {
            return Ok(());
        }
        if let Some(leg) = self.leg_mut(slot, made) {
            leg.heard = cseq;
            leg.retarget(notify);
        }
        if self.get(slot).is_some_and(Subscription::is_leaving) {
            self.follow_leaving(now, slot, made, ends);
            return Ok(());
        }
        let says = match state {
            SubscriptionState::Active { .. } => true,
            SubscriptionState::Pending { .. } => false,
            SubscriptionState::Terminated { .. } => !matches!(content, Content::Nothing),
        };
        if let Some(place) = made.filter(|_| says) {
            self.take_content(now, slot, place, content, out);
        }
        match state {
            SubscriptionState::Active { expires } | SubscriptionState::Pending { expires } => {
                self.keep(now, slot, made, place.is_none(), expires, out);
            }
            SubscriptionState::Terminated { reason, retry_after } => {
                self.terminate(now, slot, made, reason, retry_after, out);
            }
        }
        Ok(())
    }

    /// The dialog that a NOTIFY makes.
    fn add_leg(&mut self, now: Moment, slot: u32, notify: &Message) -> Result<usize, Refusal> {
        let tag = tag_of(notify)?.to_owned();
        let subscription = self.get_mut(slot).ok_or(Refusal::Unknown)?;
        let entity = match (subscription.is_list(), subscription.package()) {
            (true, _) => Entity::List(Box::<ListState>::default()),
            (false, Package::Dialog) => Entity::Line(LineState::default()),
            (false, Package::Presence) => Entity::Person(None),
        };
        let leg = Leg::new(notify, &tag, entity).ok_or(Refusal::Malformed)?;
        let granted = subscription.granted;
        if subscription.legs.is_empty() {
            subscription.up_since = now;
        }
        subscription.legs.reserve_exact(1);
        subscription.legs.push(leg);
        let place = subscription.legs.len() - 1;
        if matches!(subscription.stage, Stage::Accepted { .. }) {
            self.move_to(slot, Stage::Up);
        }
        self.renew(now, slot, place, granted, true);
        Ok(place)
    }

    fn leg_mut(&mut self, slot: u32, place: Option<usize>) -> Option<&mut Leg> {
        self.get_mut(slot)?.legs.get_mut(place?)
    }

    /// Nobody wants it: a dialog that has come up is ended, one that has ended is forgotten.
    fn follow_leaving(&mut self, now: Moment, slot: u32, place: Option<usize>, ends: bool) {
        let Some(place) = place else { return };
        if ends && let Some(subscription) = self.get_mut(slot) {
            subscription.legs.remove(place);
        } else {
            self.queue(now, slot, Rank::Fresh);
        }
    }

    /// Puts a document to what is known.
    fn take_content(&mut self, now: Moment, slot: u32, place: usize, content: Content<'_>, out: &mut Vec<Output>) {
        let names = self.names.clone();
        let max_bytes = self.settings.max_document_bytes;
        let Some(subscription) = self.subscriptions.get_mut(slot as usize) else { return };
        let tenant = subscription.tenant;
        let Some(leg) = subscription.legs.get_mut(place) else { return };
        let mut changed = Vec::new();
        let applied = match (&mut leg.entity, content) {
            (Entity::Line(line), Content::Dialogs(info)) => line.apply(&info, leg.asked_full, &names),
            (Entity::Line(line), Content::Nothing) => line.apply_nothing(leg.asked_full, &names),
            (Entity::Person(known), Content::Person(report)) => {
                *known = report;
                Applied::Whole
            }
            (Entity::List(state), Content::List(list, parts)) => {
                let Some(members) = self.members.get(&tenant) else { return };
                let notice = Notice { list: &list, parts: &parts, asked: leg.asked_full, max_bytes };
                let outcome = state.apply(&notice, members, &names);
                self.counts.unreadable += outcome.unreadable;
                changed = outcome.changed;
                outcome.applied
            }
            _ => return,
        };
        leg.wants_full = applied == Applied::Gap;
        if !leg.wants_full {
            leg.asked_full = false;
            leg.resyncs = 0;
        }
        let unknown = matches!(leg.entity, Entity::Person(None));
        self.ask_for_full(now, slot, place);
        self.tell_members(slot, &changed, out);
        if unknown {
            self.tell_lost(slot, out);
        }
    }

    /// Tells what the entries of a list do, the greatest of all notifiers.
    fn tell_members(&mut self, slot: u32, changed: &[Box<str>], out: &mut Vec<Output>) {
        let Some(subscription) = self.subscriptions.get(slot as usize) else { return };
        let Some(members) = self.members.get_mut(&subscription.tenant).filter(|_| !changed.is_empty()) else { return };
        for name in changed {
            let known = subscription.legs.iter().filter_map(|leg| match &leg.entity {
                Entity::List(state) => state.report(name),
                Entity::Line(_) | Entity::Person(_) => None,
            });
            members.tell(name, known.reduce(greater), out);
        }
    }

    /// The subscription goes on, for so many seconds.
    fn keep(
        &mut self,
        now: Moment,
        slot: u32,
        place: Option<usize>,
        new: bool,
        expires: Option<u32>,
        out: &mut Vec<Output>,
    ) {
        let ends = self.leg_mut(slot, place).map(|leg| leg.ends);
        if let (Some(place), Some(ends), Some(expires)) = (place, ends, expires) {
            let said = now + Duration::from_secs(expires.into());
            if new {
                self.renew(now, slot, place, expires, true);
            } else if said + SAME_END < ends {
                // Shorter than was granted: the refresh comes earlier too.
                let refresh = self.leg_mut(slot, Some(place)).map(|leg| leg.refresh);
                self.renew(now, slot, place, expires, false);
                if let Some((leg, refresh)) = self.leg_mut(slot, Some(place)).zip(refresh) {
                    leg.refresh = leg.refresh.min(refresh);
                }
            } else if ends + SAME_END < said
                && let Some(leg) = self.leg_mut(slot, Some(place))
            {
                leg.ends = said;
            }
        }
        self.tell(slot, out);
    }

    /// The PBX has ended the subscription.
    fn terminate(
        &mut self,
        now: Moment,
        slot: u32,
        place: Option<usize>,
        reason: &[u8],
        retry_after: Option<u32>,
        out: &mut Vec<Output>,
    ) {
        let others = self.get(slot).map_or(0, |subscription| subscription.legs.len());
        let ending = Ending { retry_after, ..Ending::new(Verdict::of_reason(reason)) };
        match place {
            Some(_) if others == 1 && reason.eq_ignore_ascii_case(b"invariant") => {
                self.tell(slot, out);
                self.rest_unchanged(now, slot, out);
            }
            Some(place) => self.end_leg(now, slot, place, ending, out),
            None if others == 0 => {
                self.counts.lost += 1;
                self.fail(now, slot, ending, out);
            }
            None => {}
        }
    }
}

impl Subscription {
    /// Whether a notifier that is not known yet is taken.
    fn listens(&self) -> bool {
        let stage = match self.stage {
            Stage::Asking | Stage::Accepted { .. } | Stage::Up | Stage::Leaving { .. } => true,
            Stage::Resting { .. } | Stage::Queued => false,
        };
        stage && self.legs.len() < MAX_LEGS
    }
}

/// Why a document is not taken.
enum ReadFault {
    MediaType,
    Xml(XmlFault),
}

impl From<XmlFault> for ReadFault {
    fn from(fault: XmlFault) -> Self {
        Self::Xml(fault)
    }
}

fn read<'a>(
    subscription: &Subscription,
    notify: &'a Message,
    max_bytes: usize,
    aliases: Option<&Arc<Aliases>>,
) -> Result<Content<'a>, ReadFault> {
    let body = notify.body();
    if body.is_empty() {
        return Ok(Content::Nothing);
    }
    let content_type = notify.value(HeaderName::ContentType).unwrap_or_default();
    let is = |media: &str| media_type(content_type).eq_ignore_ascii_case(media.as_bytes());
    match (subscription.is_list(), subscription.package()) {
        (true, _) if is("multipart/related") => {
            let parts = related::parts(content_type, body);
            let root = parts.first().filter(|root| root.is(rlmi::MEDIA_TYPE)).ok_or(ReadFault::MediaType)?;
            Ok(Content::List(rlmi::read(root.content, max_bytes)?, parts))
        }
        (true, _) if is(rlmi::MEDIA_TYPE) => Ok(Content::List(rlmi::read(body, max_bytes)?, Vec::new())),
        // Some forget to say what it is.
        (false, Package::Dialog) if is(dialog_info::MEDIA_TYPE) || content_type.is_empty() => {
            let mut info = dialog_info::read(body, max_bytes)?;
            // What the edge itself has written is no news of the line; the version counts all the same.
            info.drop_own();
            Ok(Content::Dialogs(info))
        }
        (false, Package::Presence) if is(PIDF) || is("application/cpim-pidf+xml") || content_type.is_empty() => {
            let none = Aliases::new();
            let mut document = pidf::read(body, max_bytes)?;
            let others = document.drop_own();
            let report = document.report(aliases.map_or(&none, |aliases| aliases));
            Ok(Content::Person(report.filter(|_| others)))
        }
        _ => Err(ReadFault::MediaType),
    }
}

fn tag_of(notify: &Message) -> Result<&str, Refusal> {
    let from = notify.from().map_err(|_| Refusal::Malformed)?;
    let tag = from.tag().and_then(|tag| std::str::from_utf8(tag).ok());
    tag.filter(|tag| !tag.is_empty()).ok_or(Refusal::Malformed)
}

fn answer(handle: Handle, status: u16, reason: &'static str, headers: Vec<(&'static str, String)>) -> Answer {
    Answer { handle, status, reason, to_tag: None, contact_user: None, headers, body: None }
}
