//! Sockets that stay open while no edge runs: a service manager hands them to the next process (sd_listen_fds(3)), be
//! they its own (socket activation) or those that this process left with it at its end (FDSTORE=1 of sd_notify(3)).

use std::os::fd::{AsFd, OwnedFd};

use listenfd::ListenFd;
use sd_notify::NotifyState;

use super::notify;
use crate::config::Config;
use crate::sip::Transport;
use crate::transport::{Inherited, Transports};
use crate::trunk::Listener;

/// What begins the names of sockets that an edge has left with its service manager.
const LEFT: &str = "trunkway-";

/// Takes what was handed over. To be called once and before there are threads, since it takes it out of the environment.
pub fn take() -> Vec<Inherited> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut handed = ListenFd::from_env();
    let count = handed.len();
    let names = names.split(':').chain(std::iter::repeat("unknown")).take(count);
    let mut sockets = Vec::with_capacity(count);
    for (index, name) in names.enumerate() {
        let socket = match handed.take_udp_socket(index) {
            Ok(socket) => Ok(socket.map(OwnedFd::from)),
            Err(_) => handed.take_tcp_listener(index).map(|socket| socket.map(OwnedFd::from)),
        };
        let taken = socket.and_then(|socket| socket.map(|socket| Inherited::new(socket, name)).transpose());
        match taken {
            Ok(socket) => sockets.extend(socket),
            Err(error) => tracing::warn!("what the service manager calls \"{name}\" is of no use: {error}"),
        }
    }
    forget(&sockets);
    sockets
}

/// Has the service manager let go of what an edge left with it: this process has it now.
fn forget(sockets: &[Inherited]) {
    let mut names: Vec<&str> = sockets.iter().map(|it| &*it.name).filter(|name| name.starts_with(LEFT)).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        notify::tell(&[NotifyState::FdStoreRemove, NotifyState::FdName(name)]);
    }
}

/// Without what an edge has left whose configuration had other listeners: nobody would ever take a connection there.
pub fn still_wanted(mut sockets: Vec<Inherited>, config: &Config) -> Vec<Inherited> {
    let wants = |it: &Inherited| {
        config.listeners.iter().any(|listen| {
            let Listener { bind, transport, .. } = &listen.listener;
            *bind == it.addr && (*transport == Transport::Udp) == it.datagrams
        })
    };
    sockets.retain(|it| !it.name.starts_with(LEFT) || wants(it));
    sockets
}

/// Leaves the listeners' sockets with the service manager for the next process. Where there is to be none, it closes
/// them with the service.
pub fn leave(transports: &Transports) {
    if !notify::is_wanted() {
        return;
    }
    for (name, socket) in transports.descriptors() {
        let name = format!("{LEFT}{}", name.chars().filter(|&letter| is_plain(letter)).collect::<String>());
        let states = [NotifyState::FdStore, NotifyState::FdName(&name)];
        if let Err(error) = sd_notify::notify_with_fds(&states, &[socket.as_fd()]) {
            tracing::warn!(%error, "a listener cannot be left with the service manager: a restart closes it");
        }
    }
}

/// What a name of a descriptor may have in it.
fn is_plain(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.')
}
