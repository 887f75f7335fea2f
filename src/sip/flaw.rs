//! What can be wrong with a message: small, `Copy`, with words for the one who has to mend it.

use std::fmt;

/// A fault in a message and the offset of the byte near which it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} near byte {at}")]
pub struct Flaw {
    pub what: What,
    pub at: u16,
}

/// The kinds of fault. [`What::status`] says which answer a request with it deserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum What {
    /// No start line at all, or bytes that are no SIP.
    NotSip,
    /// More bytes than `max_message_bytes`.
    TooLong,
    /// More lines than `max_headers`.
    TooManyHeaders,
    /// A line over `max_header_line_bytes`.
    LineTooLong,
    /// A header with more values than `max_values_per_header`.
    TooManyValues,
    /// The request or status line does not have its three parts, one space apart.
    StartLine,
    /// A SIP version other than 2.0.
    Version,
    /// A status code that is not three digits from 100 to 699.
    StatusCode,
    /// A header line without a colon or with a name that is no token.
    HeaderLine,
    /// The empty line after the headers is missing.
    Unterminated,
    /// Content-Length is no number, stands twice, or is larger than the datagram.
    ContentLength,
    /// A header that must be there is not: its name follows in [`What::status`]'s text.
    MissingVia,
    MissingFrom,
    MissingTo,
    MissingCallId,
    MissingCSeq,
    /// A header that may stand once stands twice.
    Repeated,
    /// A value that does not follow its grammar.
    Via,
    From,
    To,
    CallId,
    CSeq,
    Contact,
    Route,
    MaxForwards,
    /// CSeq names another method than the start line.
    CSeqMethod,
    /// A quoted string that does not end.
    Quote,
    /// A parameter without a name.
    Parameter,
    /// A URI that cannot be read.
    Uri,
    /// A Request-URI with `?header=value` (RFC 3261 section 19.1.1 forbids it there).
    UriHeaders,
}

impl What {
    /// Whether a limit of [`super::Limits`] was passed, as against a fault of the sender's.
    pub const fn is_limit(self) -> bool {
        matches!(self, Self::TooLong | Self::TooManyHeaders | Self::LineTooLong | Self::TooManyValues)
    }

    /// The status and reason phrase of the answer to a request with this fault (RFC 3261 sections 8.2, 16.3, 21.5.6).
    pub const fn status(self) -> (u16, &'static str) {
        match self {
            Self::Version => (505, "Version Not Supported"),
            Self::TooLong | Self::TooManyHeaders | Self::LineTooLong | Self::TooManyValues => {
                (513, "Message Too Large")
            }
            Self::NotSip | Self::StatusCode => (400, "Bad Request"),
            Self::StartLine => (400, "Bad Request Line"),
            Self::HeaderLine => (400, "Bad Header Line"),
            Self::Unterminated => (400, "Headers Do Not End"),
            Self::ContentLength => (400, "Bad Content-Length"),
            Self::MissingVia => (400, "Missing Via"),
            Self::MissingFrom => (400, "Missing From"),
            Self::MissingTo => (400, "Missing To"),
            Self::MissingCallId => (400, "Missing Call-ID"),
            Self::MissingCSeq => (400, "Missing CSeq"),
            Self::Repeated => (400, "Header Stands Twice"),
            Self::Via => (400, "Bad Via"),
            Self::From => (400, "Bad From"),
            Self::To => (400, "Bad To"),
            Self::CallId => (400, "Bad Call-ID"),
            Self::CSeq => (400, "Bad CSeq"),
            Self::Contact => (400, "Bad Contact"),
            Self::Route => (400, "Bad Route"),
            Self::MaxForwards => (400, "Bad Max-Forwards"),
            Self::CSeqMethod => (400, "CSeq Method Differs"),
            Self::Quote => (400, "Unterminated Quoted String"),
            Self::Parameter => (400, "Bad Parameter"),
            Self::Uri => (400, "Bad URI"),
            Self::UriHeaders => (400, "Headers In Request-URI"),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotSip => "not a SIP message",
            Self::TooLong => "message longer than max_message_bytes",
            Self::TooManyHeaders => "more headers than max_headers",
            Self::LineTooLong => "header line longer than max_header_line_bytes",
            Self::TooManyValues => "more values than max_values_per_header",
            Self::StartLine => "malformed start line",
            Self::Version => "SIP version is not 2.0",
            Self::StatusCode => "status code is not between 100 and 699",
            Self::HeaderLine => "header line without a name and colon",
            Self::Unterminated => "no empty line after the headers",
            Self::ContentLength => "wrong Content-Length",
            Self::MissingVia => "no Via",
            Self::MissingFrom => "no From",
            Self::MissingTo => "no To",
            Self::MissingCallId => "no Call-ID",
            Self::MissingCSeq => "no CSeq",
            Self::Repeated => "header that may stand once stands twice",
            Self::Via => "malformed Via",
            Self::From => "malformed From",
            Self::To => "malformed To",
            Self::CallId => "malformed Call-ID",
            Self::CSeq => "malformed CSeq",
            Self::Contact => "malformed Contact",
            Self::Route => "malformed Route",
            Self::MaxForwards => "malformed Max-Forwards",
            Self::CSeqMethod => "CSeq method differs from the start line",
            Self::Quote => "quoted string does not end",
            Self::Parameter => "malformed parameter",
            Self::Uri => "malformed URI",
            Self::UriHeaders => "headers in the Request-URI",
        })
    }
}
