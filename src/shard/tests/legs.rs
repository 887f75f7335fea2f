//! Calls between owned legs: each side has a dialog with the edge and sees nothing else.

mod calls;
mod hold;
mod party;
mod refresh;
mod stored;
mod teams;
mod tokens;
mod topology;
mod transfer;
