//! The edge's subscriptions on PBXs.
