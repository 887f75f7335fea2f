//! Listeners that come and go, certificates that are renewed.
