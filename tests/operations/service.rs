//! Start, drain, stop; the unit and the package.
