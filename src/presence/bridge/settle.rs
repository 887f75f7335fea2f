//! The parts hear of each other, until nobody has anything to say.

use super::{Act, Bridge};
use crate::presence::agent::{Arrived, CONTACT_MARK, Reply, Say, Ticket};
use crate::presence::state::{Availability, Source, TeamsPresence, Told};
use crate::presence::teams::session_for;
use crate::presence::view::View;
use crate::presence::{UserKey, board, notifier, poller, publications, subscriber, writer};
use crate::transaction::Moment;

/// What has been said and not been heard yet; empty between two events, kept for its memory.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub told: Vec<Told>,
    pub forget: Vec<(UserKey, Source)>,
    pub changes: Vec<board::Change>,
    pub says: Vec<Say>,
    pub subscriber: Vec<subscriber::Output>,
    pub notifier: Vec<notifier::Order>,
    pub publications: Vec<publications::Order>,
    pub writer: Vec<writer::Order>,
    pub poller: Vec<poller::Order>,
}

impl Work {
    fn is_done(&self) -> bool {
        let Self { told, forget, changes, says, subscriber, notifier, publications, writer, poller } = self;
        told.is_empty()
            && forget.is_empty()
            && changes.is_empty()
            && says.is_empty()
            && subscriber.is_empty()
            && notifier.is_empty()
            && publications.is_empty()
            && writer.is_empty()
            && poller.is_empty()
    }
}

impl Bridge {
    /// Passes on what was said. It ends: nothing that is passed on comes back to where it was said.
    pub(super) fn settle(&mut self, now: Moment, out: &mut Vec<Act>) {
        while !self.work.is_done() {
            self.hear_sources(now);
            self.hear_board(now);
            self.hear_graph(now, out);
            self.hear_watchers(now);
            out.extend(self.work.says.drain(..).map(Act::Say));
        }
    }

    /// Sources -> board.
    fn hear_sources(&mut self, now: Moment) {
        for order in std::mem::take(&mut self.work.subscriber) {
            match order {
                subscriber::Output::Say(say) => self.work.says.push(say),
                subscriber::Output::Told(told) => self.work.told.push(told),
            }
        }
        for order in std::mem::take(&mut self.work.publications) {
            match order {
                publications::Order::Say(say) => self.work.says.push(say),
                publications::Order::Told(told) => self.work.told.push(told),
                publications::Order::Forget { user, source } => self.work.forget.push((user, source)),
            }
        }
        for Told { user, source, report, until } in self.work.told.drain(..) {
            match report {
                Some(report) => self.board.report(now, user, source, report, until, &mut self.work.changes),
                None => self.board.lose(now, user, source, &mut self.work.changes),
            }
        }
        for (user, source) in self.work.forget.drain(..) {
            self.board.forget(now, user, source, &mut self.work.changes);
        }
    }

    /// Board -> writer, notifier.
    fn hear_board(&mut self, now: Moment) {
        for board::Change { user, merged } in self.work.changes.drain(..) {
            let Some(person) = self.people.get(user) else { continue };
            if person.direction.writes() {
                self.writer.want(now, user, session_for(merged));
            }
            if !person.direction.shows_teams() {
                let view = View::of_pbx(merged.presence, merged.conference);
                self.notifier.set_presence(now, user, view, &mut self.work.notifier);
            }
        }
    }

    /// Writer and poller -> Graph, each other, notifier, publisher.
    fn hear_graph(&mut self, now: Moment, out: &mut Vec<Act>) {
        for order in std::mem::take(&mut self.work.writer) {
            match order {
                writer::Order::Write { request, tenant, items } => {
                    for item in &items {
                        if let Some(user) = item.user {
                            self.poller.handle_writing(user, item.session);
                        }
                    }
                    out.push(Act::Write { request, tenant, items });
                }
                writer::Order::Keep { tenant, graph_id, written } => {
                    out.push(Act::Keep { tenant, graph_id, written });
                }
                writer::Order::Wrote { user, session } => {
                    self.poller.handle_wrote(now, user, session, &mut self.work.poller);
                }
            }
        }
        for order in std::mem::take(&mut self.work.poller) {
            match order {
                poller::Order::Poll { request, tenant, ids } => out.push(Act::Poll { request, tenant, ids }),
                poller::Order::Heard { user, presence, own } => self.hear_teams(now, user, &presence, own),
                // It is counted, and shown when somebody asks.
                poller::Order::ChoiceWins { .. } => {}
            }
        }
    }

    fn hear_teams(&mut self, now: Moment, user: UserKey, presence: &TeamsPresence, own: bool) {
        let Some(person) = self.people.get(user).filter(|person| person.direction.shows_teams()) else { return };
        self.notifier.set_presence(now, user, View::of_teams(presence), &mut self.work.notifier);
        if self.tenants.get(&person.tenant).is_some_and(|wishes| wishes.publish_dnd) {
            // What the edge itself has written comes from the PBX.
            let dnd = presence.availability == Availability::DoNotDisturb && !own;
            self.publisher.set_dnd(now, &self.people, user, dnd, &mut self.work.says);
        }
    }

    /// Notifier -> agent, poller.
    fn hear_watchers(&mut self, now: Moment) {
        for order in std::mem::take(&mut self.work.notifier) {
            match order {
                notifier::Order::Say(say) => self.work.says.push(say),
                notifier::Order::Watching { user, watched } => self.poller.watch(now, user, watched),
            }
        }
    }

    pub(super) fn hear_reply(&mut self, now: Moment, reply: &Reply) {
        match reply.ticket {
            Ticket::Subscriber(_) => self.subscriber.handle_reply(now, reply, &mut self.work.subscriber),
            Ticket::Notifier(_) => self.notifier.handle_reply(now, reply, &mut self.work.notifier),
            Ticket::Publisher(_) => self.publisher.handle_reply(now, reply, &mut self.work.says),
        }
    }

    /// A request goes to the part whose Contact it names, or by its method.
    pub(super) fn hear_request(&mut self, now: Moment, arrived: &Arrived) {
        let Self { people, access, work, .. } = self;
        let uri = arrived.message.uri().ok();
        let own = uri.and_then(|uri| uri.user).and_then(|user| user.strip_prefix(CONTACT_MARK.as_bytes()));
        match (arrived.message.method(), own) {
            (_, Some(own)) if own.starts_with(b"n-") => {
                self.notifier.handle_request(now, arrived, people, access, &mut work.notifier);
            }
            (b"NOTIFY", _) | (_, Some(_)) => self.subscriber.handle_request(now, arrived, &mut work.subscriber),
            (b"PUBLISH", _) => {
                self.publications.handle_request(now, arrived, people, access, &mut work.publications);
            }
            _ => self.notifier.handle_request(now, arrived, people, access, &mut work.notifier),
        }
    }
}
