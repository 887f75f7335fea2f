//! REFER as Teams sends it.
