//! Tests of whole configurations: what is read, and how faults look.

mod faults;
mod reference;
mod values;
