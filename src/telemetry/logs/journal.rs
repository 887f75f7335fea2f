//! The native protocol of systemd's journal: a datagram of fields for each line.

use serde_json::Value;
use tracing::Level;

use super::line::Line;

/// Where the journal listens.
pub const SOCKET: &str = "/run/systemd/journal/socket";

/// What lines are filed under.
const IDENTIFIER: &str = "trunkway";

/// Bytes of a datagram that any kernel takes; fields that do not fit are left out.
const MAX_DATAGRAM: usize = 96 << 10;

/// Longest name of a field.
const MAX_NAME: usize = 64;

/// The device and inode that `JOURNAL_STREAM` names: `8:12345`.
pub fn stream(text: &str) -> Option<(u64, u64)> {
    let (device, inode) = text.split_once(':')?;
    Some((device.parse().ok()?, inode.parse().ok()?))
}

/// A line as the journal takes it. The names of its fields are in capitals, as those of the journal are: that of the call
/// is `CALL`.
pub fn datagram(line: &Line) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    push(&mut out, "PRIORITY", priority(line.level));
    push(&mut out, "SYSLOG_IDENTIFIER", IDENTIFIER);
    push(&mut out, "TARGET", &line.target);
    let mut message = line.message.clone();
    for (name, value) in &line.fields {
        let text = match value {
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        // Who reads the journal without its fields sees them all the same.
        if !text.is_empty() {
            message.push_str(&format!(" {name}={text}"));
        }
        push(&mut out, &field(name), &text);
    }
    push(&mut out, "MESSAGE", &message);
    out
}

const fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        _ => "7",
    }
}

/// A name as the journal wants it: capitals, digits and underscores, a letter first. Those of the lines themselves are
/// not for others.
fn field(name: &str) -> String {
    let capital = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' };
    let name: String = name.chars().take(MAX_NAME - 2).map(capital).collect();
    let begins_well = name.starts_with(|letter: char| letter.is_ascii_uppercase());
    let taken = matches!(&*name, "MESSAGE" | "PRIORITY" | "SYSLOG_IDENTIFIER" | "TARGET");
    if begins_well && !taken { name } else { format!("F_{name}") }
}

/// A field with its length before it, so that a value may have any byte.
fn push(out: &mut Vec<u8>, name: &str, value: &str) {
    let length = value.len() as u64;
    if out.len() + name.len() + value.len() + 10 > MAX_DATAGRAM {
        return;
    }
    out.extend_from_slice(name.as_bytes());
    out.push(b'\n');
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(value.as_bytes());
    out.push(b'\n');
}

#[cfg(test)]
mod tests;
