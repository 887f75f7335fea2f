//! The directory as Microsoft Graph has it.

use std::sync::Arc;
use std::time::Duration;

use crate::directory::{Assignment, Fault, Member, Page, Pages, UserChange};
use crate::graph::{self, Graph, Next};

/// How long is waited where Graph does not say it.
const PAUSE: Duration = Duration::from_secs(5);

/// The pages of a tenant.
pub struct Source(pub Arc<Graph>);

impl Pages for Source {
    async fn users(&self, select: &[Arc<str>], link: Option<&str>) -> Result<Page<UserChange>, Fault> {
        let select: Vec<&str> = select.iter().map(|name| &**name).collect();
        let page = self.0.users_delta(&select, link).await.map_err(fault)?;
        Ok(told(page, |user| Some(UserChange { id: user.id, gone: user.removed.is_some(), fields: user.fields })))
    }

    async fn members(&self, group: &str, link: Option<&str>) -> Result<Page<Member>, Fault> {
        let page = self.0.group_delta(group, link).await.map_err(fault)?;
        if link.is_none() && page.items.is_empty() {
            // Nobody is in it, or there is no such group: only the group itself tells.
            self.0.group_members(group, None).await.map_err(|error| match error {
                graph::Fault::NotFound(_) => Fault::Failed(format!("there is no group {group}")),
                other => fault(other),
            })?;
        }
        Ok(told(page, |member| Some(Member { id: member.id, gone: member.left })))
    }

    async fn assignments(&self, link: Option<&str>) -> Result<Page<Assignment>, Fault> {
        let page = self.0.number_assignments(link).await.map_err(fault)?;
        Ok(told(page, |assignment| {
            // Private lines and second numbers are not what a user is called by.
            let primary = assignment.category.as_deref().is_none_or(|category| category == "primary");
            let user = assignment.target.filter(|_| primary && !assignment.number.is_empty())?;
            Some(Assignment { user: user.to_ascii_lowercase().into(), number: assignment.number.into() })
        }))
    }
}

fn told<T, U>(page: graph::Page<T>, item: impl FnMut(T) -> Option<U>) -> Page<U> {
    let (next, since) = match page.next {
        Next::Page(link) => (Some(link.into()), None),
        Next::Delta(link) => (None, Some(link.into())),
        Next::End => (None, None),
    };
    Page { items: page.items.into_iter().filter_map(item).collect(), next, since }
}

fn fault(fault: graph::Fault) -> Fault {
    match fault {
        graph::Fault::Gone(_) => Fault::Stale,
        graph::Fault::Throttled { retry_after } => Fault::Throttled { after: retry_after.unwrap_or(PAUSE) },
        graph::Fault::Server { retry_after: Some(after), .. } => Fault::Throttled { after },
        graph::Fault::Token(token) => Fault::Failed(format!("{token}; {}", token.advice())),
        other => Fault::Failed(other.to_string()),
    }
}
