//! Calls between owned legs: each side has a dialog with the edge and sees nothing else.

mod answers;
mod calls;
mod early;
mod errands;
mod hang_up;
mod headers;
mod hold;
mod identity;
mod live;
mod party;
mod progress;
mod records;
mod refresh;
mod reliable;
mod session;
mod stored;
mod teams;
mod tokens;
mod topology;
mod transfer;
