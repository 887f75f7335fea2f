//! The edge's subscriptions on PBXs: dialog events, presence and resource lists (RFC 6665, RFC 4235, RFC 4662).
