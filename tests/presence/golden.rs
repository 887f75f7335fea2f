//! Every row of the golden table, end to end.
