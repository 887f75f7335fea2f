//! Directory synchronisation of the tenants: schedule, and what it changes in routing.
