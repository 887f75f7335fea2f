//! From events to lines.

use std::sync::Arc;
use std::time::SystemTime;

use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::line::Line;
use super::writer::Writer;
use super::{Format, journal};

/// Makes lines of events and gives them to the writer. Spans are not looked at: what belongs to a call says so in its
/// field `call`.
#[derive(Debug)]
pub struct LineLayer {
    format: Format,
    color: bool,
    writer: Arc<Writer>,
}

impl LineLayer {
    /// Lines of a format.
    pub const fn new(format: Format, color: bool, writer: Arc<Writer>) -> Self {
        Self { format, color, writer }
    }
}

impl<S: Subscriber> Layer<S> for LineLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let line = Line::of(event);
        let now = SystemTime::now();
        self.writer.give(match self.format {
            Format::Journald => journal::datagram(&line),
            Format::Json => line.json(now),
            Format::Text => line.text(now, self.color),
        });
    }
}
