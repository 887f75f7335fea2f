//! PUBLISH to the edge (RFC 3903): soft state of users.
