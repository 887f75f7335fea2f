//! `username` and `password_file` of `[trunk.NAME]`: who the edge is towards a peer that challenges its own requests.

use std::path::PathBuf;
use std::sync::Arc;

use super::log::{At, Draft};
use super::reader::Table;

/// A name, and the file with its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    pub username: Arc<str>,
    pub password_file: PathBuf,
}

/// Reads the two keys of a trunk, which go together.
pub(super) fn read(table: &mut Table<'_>) -> Option<Login> {
    let username = table.text("username");
    let file = table.existing("password_file");
    match (username, file) {
        (Some(At { value: "", place }), _) => {
            let message = format!("{}: `username` is empty", table.title);
            table.log().add(Draft::error(place, message).help("leave it out where the peer asks for no password"));
            None
        }
        (Some(username), Some(file)) => Some(Login { username: username.value.into(), password_file: file.value }),
        (Some(username), None) => {
            // A file that is named and cannot be read is told already.
            if !table.has("password_file") {
                let message = format!("{}: `username` without `password_file`", table.title);
                let help = "give the file that holds the password, or `credential:NAME`";
                table.log().add(Draft::error(username.place, message).help(help));
            }
            None
        }
        (None, Some(file)) => {
            let message = format!("{}: `password_file` without `username`", table.title);
            table.log().add(Draft::error(file.place, message).help("give the name that the password belongs to"));
            None
        }
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, load_str};
    use super::*;

    fn read(keys: &str) -> Result<Option<Login>, String> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("pbx.password"), "hunter2\n").unwrap();
        let text = format!(
            "[node]\nname = \"edge\"\n[[listen]]\nname = \"in\"\nbind = \"udp:127.0.0.1:5060\"\n\
             [trunk.pbx]\nkind = \"pbx\"\nlisten = \"in\"\ntargets = [\"192.0.2.9\"]\n{keys}\n"
        );
        match load_str("edge.toml", &text, directory.path()) {
            Ok(loaded) => {
                let Config { presence, .. } = loaded.config;
                assert!(!format!("{presence:?}").contains("hunter2"));
                Ok(presence.logins.into_values().next())
            }
            Err(faults) => Err(faults.to_string()),
        }
    }

    #[test]
    fn a_name_and_its_password_go_together() {
        let login = read("username = \"edge\"\npassword_file = \"pbx.password\"").unwrap().unwrap();
        assert_eq!((&*login.username, login.password_file.file_name().unwrap()), ("edge", "pbx.password".as_ref()));
        assert_eq!(read(""), Ok(None));
        for (keys, wanted) in [
            ("username = \"edge\"", "`username` without `password_file`"),
            ("password_file = \"pbx.password\"", "`password_file` without `username`"),
            ("username = \"\"\npassword_file = \"pbx.password\"", "`username` is empty"),
            ("username = \"edge\"\npassword_file = \"gone\"", "cannot read"),
            ("username = 7\npassword_file = \"pbx.password\"", "`username`"),
        ] {
            let fault = read(keys).unwrap_err();
            assert!(fault.contains(wanted), "{keys}: {fault}");
        }
    }
}
