//! A stand-in for Microsoft Graph and its token endpoint: presence, users and subscriptions, with faults on demand.
