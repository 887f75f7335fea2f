//! Tests of whole configurations: what is read, and how faults look.

mod decisions;
mod faults;
mod identity;
mod people;
mod reference;
mod teams;
mod values;
