//! PIDF and RPID (RFC 3863, RFC 4480): presence documents, read and written.
