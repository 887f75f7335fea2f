//! Files that only the service manager can read and hands over at the start (systemd.exec(5), `LoadCredential=`):
//! written `credential:NAME` where a path may stand.

use std::path::{Path, PathBuf};

/// How a path begins that names a credential.
const SCHEME: &str = "credential:";

/// What stands before the names of the files in a directory that the unit loads whole (`LoadCredential=trunkway:DIR`).
const OF_DIRECTORY: &str = "trunkway_";

/// The directory beside the configuration that the unit loads. Whoever is no service looks there.
const BESIDE: &str = "credentials";

/// The path of a file that a configuration in directory `base` names; `handed` is where a service manager has put
/// credentials.
pub(super) fn path(base: &Path, text: &str, handed: Option<&Path>) -> PathBuf {
    let Some(name) = text.strip_prefix(SCHEME) else { return base.join(text) };
    // A credential has a name and no place: what climbs out of the directory is no such name.
    let name = Path::new(name).file_name().unwrap_or_default();
    let Some(handed) = handed else { return base.join(BESIDE).join(name) };
    let mut of_directory = std::ffi::OsString::from(OF_DIRECTORY);
    of_directory.push(name);
    [handed.join(name), handed.join(of_directory)]
        .into_iter()
        .find(|path| path.exists())
        .unwrap_or_else(|| handed.join(name))
}

/// Where a service manager has put credentials for this process.
pub(super) fn handed() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_found_where_the_manager_has_put_them_or_beside_the_file() {
        let handed = tempfile::tempdir().unwrap();
        let handed = handed.path();
        std::fs::write(handed.join("single.key"), "").unwrap();
        std::fs::write(handed.join("trunkway_edge.key"), "").unwrap();
        let base = Path::new("/etc/trunkway");
        for (text, with, without) in [
            ("certs/edge.key", "/etc/trunkway/certs/edge.key".into(), "/etc/trunkway/certs/edge.key"),
            ("/elsewhere/edge.key", "/elsewhere/edge.key".into(), "/elsewhere/edge.key"),
            ("credential:single.key", handed.join("single.key"), "/etc/trunkway/credentials/single.key"),
            ("credential:edge.key", handed.join("trunkway_edge.key"), "/etc/trunkway/credentials/edge.key"),
            ("credential:missing", handed.join("missing"), "/etc/trunkway/credentials/missing"),
            ("credential:../../shadow", handed.join("shadow"), "/etc/trunkway/credentials/shadow"),
        ] {
            assert_eq!(path(base, text, Some(handed)), with, "{text}");
            assert_eq!(path(base, text, None), Path::new(without), "{text}");
        }
    }
}
