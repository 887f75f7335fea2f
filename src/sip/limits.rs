//! What the message layer accepts at most. Each limit has a key of the same name in `[limits]`.

/// Largest message that the index can address: its offsets are 16 bits wide.
pub const MESSAGE_BYTES_TOP: usize = 65_535;

/// Largest number of header lines that the index can count.
pub const HEADERS_TOP: usize = 250;

/// Header lines that are kept free for those that the edge adds, so that what it has written can be read again.
const HEADERS_ADDED: usize = 6;

/// Bounds of one message; beyond them it is refused, not cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a message, headers and body (at most [`MESSAGE_BYTES_TOP`]).
    pub max_message_bytes: usize,
    /// Header lines of a message (at most [`HEADERS_TOP`], less what the edge adds).
    pub max_headers: usize,
    /// Bytes of one header line, folded lines counted together.
    pub max_header_line_bytes: usize,
    /// Values of one header name over all its lines (Via, Route, Contact ...).
    pub max_values_per_header: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message_bytes: MESSAGE_BYTES_TOP,
            max_headers: HEADERS_TOP,
            max_header_line_bytes: 8_192,
            max_values_per_header: 128,
        }
    }
}

impl Limits {
    /// The most that the index can hold: for reading again what was let in, or what the edge has written.
    pub const TOP: Self = Self {
        max_message_bytes: MESSAGE_BYTES_TOP,
        max_headers: HEADERS_TOP,
        max_header_line_bytes: MESSAGE_BYTES_TOP,
        max_values_per_header: MESSAGE_BYTES_TOP,
    };

    /// The same limits with each brought under what the index can hold once the edge has added its lines.
    pub fn clamped(self) -> Self {
        Self {
            max_message_bytes: self.max_message_bytes.min(MESSAGE_BYTES_TOP),
            max_headers: self.max_headers.min(HEADERS_TOP - HEADERS_ADDED),
            ..self
        }
    }
}
