//! Calls in progress and the limits that they count against.
