//! Certificates by `trunkway certs dev`.

use std::path::PathBuf;

use super::edge::trunkway;
use super::place::Place;

/// Makes an authority and certificates in the folder `certs` of the place.
pub fn make(place: &Place) -> PathBuf {
    let folder = place.folder().join("certs");
    let made = trunkway("certs").arg("dev").arg("--dir").arg(&folder).output().expect("trunkway can be started");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    folder
}
