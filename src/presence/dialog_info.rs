//! Dialog-info documents (RFC 4235): read and written.
