//! `[tenant.ID.directory]`: users read from Entra ID.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::log::Draft;
use super::reader::{Complaint, Table, quoted};
use crate::routing::number::{Digits, MAX_EXTENSION};
use crate::routing::people::Lives;

/// Rules of one tenant; each of them is a group that is read.
const MAX_RULES: usize = 100;

/// Fields with numbers of one tenant.
const MAX_NUMBERS: usize = 10;

/// Characters of the name of a field, and of a suffix.
const MAX_NAME: usize = 64;

/// Fields with numbers, and the suffix that entries made of each get.
pub type NumberFields = Vec<(Arc<str>, Option<Arc<str>>)>;

/// How a tenant's users are read from Entra ID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// The object id of the group whose members are read; `None`: the whole tenant.
    pub group: Option<Arc<str>>,
    pub interval: Duration,
    /// The field that names a user, `displayName`.
    pub name: Arc<str>,
    /// Fields with numbers and the suffix that entries made of them get.
    pub numbers: NumberFields,
    /// Teams' own assignments are preferred over the fields.
    pub teams_numbers: bool,
    pub new: bool,
    pub update: bool,
    pub delete: bool,
    /// A run that would delete more than this share of the users, in percent, stops and asks.
    pub max_delete_percent: u8,
    pub max_users: usize,
    pub rules: Vec<GroupRule>,
}

/// How members of a group are provisioned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRule {
    /// Object id.
    pub group: Arc<str>,
    pub lives: Lives,
    /// The first extension that is dealt out.
    pub first_extension: Option<Arc<str>>,
    /// The field that holds the extension.
    pub extension_field: Option<Arc<str>>,
}

impl Default for Directory {
    fn default() -> Self {
        Self {
            group: None,
            interval: Duration::from_secs(3_600),
            name: "displayName".into(),
            numbers: vec![("businessPhones".into(), None)],
            teams_numbers: true,
            new: true,
            update: true,
            delete: true,
            max_delete_percent: 10,
            max_users: 100_000,
            rules: Vec::new(),
        }
    }
}

/// Reads `directory` of a tenant's table; `None`: it has none.
pub(super) fn read(tenant: &mut Table<'_>) -> Option<Directory> {
    let mut table = tenant.table("directory", "tenant.ID.directory")?;
    let d = Directory::default();
    let t = &mut table;
    let flag = |t: &mut Table<'_>, key, default| t.boolean(key).map_or(default, |flag| flag.value);
    let directory = Directory {
        group: t.parsed("group", object_id).map(|id| id.value),
        interval: t.seconds("interval_s", 60..=7 * 86_400, d.interval),
        name: t.parsed("name", field).map_or(d.name, |name| name.value),
        numbers: numbers(t).unwrap_or(d.numbers),
        teams_numbers: flag(t, "teams_numbers", d.teams_numbers),
        new: flag(t, "new", d.new),
        update: flag(t, "update", d.update),
        delete: flag(t, "delete", d.delete),
        max_delete_percent: t
            .number("max_delete_percent", 0..=100)
            .and_then(|number| u8::try_from(number.value).ok())
            .unwrap_or(d.max_delete_percent),
        max_users: t.count("max_users", 1..=1_000_000, d.max_users),
        rules: rules(t),
    };
    table.finish();
    Some(directory)
}

/// `numbers`: fields, each with the suffix that its entries get.
fn numbers(table: &mut Table<'_>) -> Option<NumberFields> {
    let read = table.parsed_list("numbers", |text| match text.split_once('=') {
        Some((name, suffix)) => Ok((field(name.trim())?, Some(self::suffix(suffix.trim())?))),
        None => Ok((field(text.trim())?, None)),
    })?;
    let mut fields = BTreeSet::new();
    let mut suffixes = BTreeSet::new();
    for number in &read {
        let (name, suffix) = &number.value;
        if !fields.insert(Arc::clone(name)) {
            let complaint = Complaint::new(format!("{} is there twice", quoted(name)));
            table.complain("numbers", number.place, complaint);
        } else if !suffixes.insert(suffix.clone()) {
            let complaint = match suffix {
                Some(suffix) => Complaint::new(format!("two fields have the suffix {}", quoted(suffix))),
                None => Complaint::new("two fields have no suffix"),
            };
            let complaint = complaint.help("entries of one user are told apart by it: \"mobilePhone=M\"");
            table.complain("numbers", number.place, complaint);
        }
    }
    if let Some(first) = read.get(MAX_NUMBERS) {
        table.complain("numbers", first.place, Complaint::new(format!("there are more than {MAX_NUMBERS} fields")));
    }
    Some(read.into_iter().map(|number| number.value).collect())
}

fn rules(table: &mut Table<'_>) -> Vec<GroupRule> {
    let title = |index: usize| format!("directory rule {}", index + 1);
    let mut rules = Vec::new();
    let mut groups = BTreeSet::new();
    for mut rule in table.tables("rule", "tenant.ID.directory.rule", title) {
        rule.must_have("group");
        let group = rule.parsed("group", object_id);
        let lives = rule.parsed("lives", |text| text.parse().map_err(|error| Complaint::new(format!("{error}"))));
        let read = GroupRule {
            group: group.as_ref().map(|group| Arc::clone(&group.value)).unwrap_or_default(),
            lives: lives.map_or_else(Lives::default, |lives| lives.value),
            first_extension: rule.parsed("first_extension", extension).map(|extension| extension.value),
            extension_field: rule.parsed("extension_field", field).map(|field| field.value),
        };
        if let Some(group) = &group
            && !groups.insert(Arc::clone(&group.value))
        {
            let message = format!("{}: an earlier rule has this group as well", rule.title);
            rule.log().add(Draft::error(group.place, message).help("the first rule that has a user counts"));
        }
        if rules.len() == MAX_RULES {
            let message = format!("{}: there are more than {MAX_RULES} rules", rule.title);
            rule.log().add(Draft::error(rule.place, message));
        }
        rule.finish();
        rules.push(read);
    }
    rules
}

/// An id such as `02bd9fd6-8f93-4758-87c3-1fb73740a315`.
fn object_id(text: &str) -> Result<Arc<str>, Complaint> {
    let lengths = text.split('-').map(str::len);
    let good = lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    let complaint = || {
        Complaint::new(format!("{} is no object id", quoted(text)))
            .help("copy it from the group's page in Entra: 02bd9fd6-8f93-4758-87c3-1fb73740a315")
    };
    good.then(|| text.to_ascii_lowercase().into()).ok_or_else(complaint)
}

/// The name of a property of a user in Graph; a dot leads into one that has properties of its own.
fn field(text: &str) -> Result<Arc<str>, Complaint> {
    let part = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_alphabetic())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let good = text.len() <= MAX_NAME && text.split('.').count() <= 2 && text.split('.').all(part);
    let complaint = || {
        Complaint::new(format!("{} is no field", quoted(text)))
            .help("name a property of users in Graph, such as \"mobilePhone\" or \"onPremisesExtensionAttributes.extensionAttribute1\"")
    };
    good.then(|| text.into()).ok_or_else(complaint)
}

fn suffix(text: &str) -> Result<Arc<str>, Complaint> {
    let good = (1..=MAX_NAME).contains(&text.len()) && !text.chars().any(|it| it.is_control() || it == '/');
    let complaint = || Complaint::new(format!("{} is no suffix", quoted(text))).help("write a short word: \"M\"");
    good.then(|| text.into()).ok_or_else(complaint)
}

fn extension(text: &str) -> Result<Arc<str>, Complaint> {
    let digits = Digits::new(text.as_bytes()).filter(|digits| digits.is_decimal() && digits.len() <= MAX_EXTENSION);
    let complaint = || {
        Complaint::new(format!("{} is no extension", quoted(text))).help(format!("write 1 to {MAX_EXTENSION} digits"))
    };
    digits.map(|_| text.into()).ok_or_else(complaint)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::load_str;

    const GROUP: &str = "02BD9fd6-8f93-4758-87c3-1fb73740a315";

    fn load(keys: &str) -> Result<Directory, String> {
        let text = format!(
            "[node]\nname = \"n\"\n[[listen]]\nname = \"l\"\nbind = \"udp:127.0.0.1:5060\"\n[tenant.contoso]\n\
             [tenant.contoso.directory]\n{keys}\n"
        );
        let loaded = load_str("t", &text, Path::new(".")).map_err(|faults| faults.to_string())?;
        Ok(loaded.config.directory["contoso"].clone())
    }

    #[test]
    fn keys_are_read_and_all_have_defaults() {
        assert_eq!(load(""), Ok(Directory::default()));
        let text = format!(
            "group = \"{GROUP}\"\ninterval_s = 600\nname = \"surname\"\nnumbers = [\"businessPhones\", \"mobilePhone = M\"]\n\
             teams_numbers = false\nnew = false\nupdate = false\ndelete = false\nmax_delete_percent = 25\n\
             max_users = 500\n[[tenant.contoso.directory.rule]]\ngroup = \"{GROUP}\"\nlives = \"both\"\n\
             first_extension = \"0400\"\nextension_field = \"onPremisesExtensionAttributes.extensionAttribute1\""
        );
        let group: Arc<str> = GROUP.to_lowercase().into();
        let wanted = Directory {
            group: Some(Arc::clone(&group)),
            interval: Duration::from_secs(600),
            name: "surname".into(),
            numbers: vec![("businessPhones".into(), None), ("mobilePhone".into(), Some("M".into()))],
            teams_numbers: false,
            new: false,
            update: false,
            delete: false,
            max_delete_percent: 25,
            max_users: 500,
            rules: vec![GroupRule {
                group,
                lives: Lives::Both,
                first_extension: Some("0400".into()),
                extension_field: Some("onPremisesExtensionAttributes.extensionAttribute1".into()),
            }],
        };
        assert_eq!(load(&text), Ok(wanted));
    }

    #[test]
    fn faults_are_told_with_what_to_write() {
        let rule = "[[tenant.contoso.directory.rule]]\n";
        let twice = format!("{rule}group = \"{GROUP}\"\n{rule}group = \"{GROUP}\"");
        for (keys, said) in [
            ("group = \"sales\"", "is no object id"),
            ("interval_s = 5", "must be from 60"),
            ("name = \"display name\"", "is no field"),
            ("name = \"a.b.c\"", "is no field"),
            ("numbers = [\"mobilePhone=\"]", "is no suffix"),
            ("numbers = [\"businessPhones\", \"mobilePhone\"]", "two fields have no suffix"),
            ("numbers = [\"a=M\", \"b=M\"]", "two fields have the suffix"),
            ("numbers = [\"a\", \"a=M\"]", "is there twice"),
            ("max_delete_percent = 101", "must be from 0 to 100"),
            ("max_users = 0", "must be from 1"),
            ("users = 1", "users"),
            (rule, "has no `group`"),
            (&format!("{rule}group = \"{GROUP}\"\nfirst_extension = \"4x\""), "is no extension"),
            (&format!("{rule}group = \"{GROUP}\"\nlives = \"home\""), "`teams`, `pbx` or `both`"),
            (&twice, "an earlier rule has this group"),
        ] {
            let error = load(keys).unwrap_err();
            assert!(error.contains(said), "{keys}: {error}");
        }
    }
}
