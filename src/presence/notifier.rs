//! Watchers: phones and PBXs that SUBSCRIBE to users at the edge (RFC 6665, RFC 3856, RFC 4235).
