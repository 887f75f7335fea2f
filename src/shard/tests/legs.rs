//! Calls between owned legs: each side has a dialog with the edge and sees nothing else.

mod answers;
mod calls;
mod early;
mod hold;
mod party;
mod refresh;
mod reliable;
mod teams;
mod tokens;
mod topology;
