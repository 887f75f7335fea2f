//! The endpoint that Prometheus reads, and what is written onto its page beside the exporter's series: series that come
//! and go with the configuration, histograms of fixed buckets, and the process itself.

mod buckets;
mod page;
mod process;
mod server;

pub use buckets::Buckets;
pub use page::{Family, Kind, Page, Series};
pub use process::Process;
pub use server::{BindError, Endpoint, Scraped};
