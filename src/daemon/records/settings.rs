//! What the configuration asks of records, as those understand it who write them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::call::mask::Mask;
use crate::cdr::entry::Style;
use crate::cdr::file::{FileSettings, Format, Rotate};
use crate::cdr::history::HistorySettings;
use crate::config::{self, Config, RecordFormat};

/// A history, and where it is.
pub struct Wanted {
    pub directory: PathBuf,
    pub settings: HistorySettings,
}

/// The file; `None`: none is wanted.
pub fn file(config: &Config) -> Option<FileSettings> {
    let records = &config.records;
    Some(FileSettings {
        path: records.file.clone()?,
        format: match records.format {
            RecordFormat::Csv => Format::Csv,
            RecordFormat::Json => Format::Json,
        },
        max_bytes: records.max_file_bytes,
        rotate: match records.rotate {
            config::Rotate::Daily => Rotate::Daily,
            config::Rotate::Hourly => Rotate::Hourly,
            config::Rotate::Never => Rotate::Never,
        },
        keep: records.keep_files,
        sync: records.sync,
        style: style(config),
    })
}

/// The history; `None`: none is wanted, or there is no place for it.
pub fn history(config: &Config) -> Option<Wanted> {
    let records = &config.records;
    let directory = config.state.dir.clone().filter(|_| records.history)?;
    let settings = HistorySettings {
        max_age: Duration::from_secs(records.history_days.saturating_mul(86_400)),
        max_records: records.history_max_records,
        style: style(config),
    };
    Some(Wanted { directory, settings })
}

/// How entries are written.
pub fn style(config: &Config) -> Style {
    Style { node: Arc::clone(&config.node.name), mask: Mask::new(config.records.mask_numbers) }
}
