//! Readings of a directory that changes, is slow and fails; and what is made of them.

mod plans;
mod readings;
mod source;
mod stores;
