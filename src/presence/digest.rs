//! Digest authentication as a client (RFC 3261 section 22, RFC 7616, RFC 8760).
