use super::*;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn put(path: &Path, text: &str) {
    let _ = fs::remove_file(path);
    create(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn token(key: &SealKey) -> Vec<u8> {
    let mut text = Vec::new();
    crate::call::dialog_token::DialogToken { caller: 1, callee: 2 }.write(key, b"call", &mut text);
    text
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

const WEEK: Duration = Duration::from_secs(7 * 86_400);

/// A rotation that minds nothing.
fn forced() -> Rotation {
    Rotation { max_age: WEEK, force: true, now: at("2026-02-01T00:00:00Z") }
}

fn ids(path: &Path) -> Vec<KeyId> {
    list(path).unwrap().into_iter().map(|key| key.id).collect()
}

#[test]
fn key_is_made_once_and_kept_close() {
    let folder = folder();
    let path = folder.path().join("sub/seal.key");
    let made = load_or_make(&path).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!((text.find(' '), text.lines().count(), mode(&path)), (Some(64), 1, 0o600));
    let again = load_or_make(&path).unwrap();
    assert_eq!(token(&again.seal), token(&made.seal));
    assert_eq!(again.ring.current(), made.ring.current());
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    assert!(list(&path).unwrap()[0].made.unwrap() <= Timestamp::now());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(load_or_make(&path), Err(SealKeyError::TooOpen { .. })));
    assert!(matches!(rotate(&path, forced()), Err(SealKeyError::TooOpen { .. })));
    assert!(!beside(&path).exists());
}

#[test]
fn file_of_an_earlier_version_keeps_its_key() {
    let folder = folder();
    let path = folder.path().join("seal.key");
    put(&path, "000102030405060708090A0B0C0D0E0F\n");
    let before = SealKey::new(std::array::from_fn(|at| at as u8));
    let keys = load_or_make(&path).unwrap();
    assert_eq!(token(&keys.seal), token(&before));
    assert_eq!(keys.ring.ids().count(), 1);
    let rotated = rotate(&path, Rotation { force: false, ..forced() }).unwrap();
    assert_eq!(rotated[1], KeyShown { id: keys.ring.current(), made: None });
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().nth(1), Some("000102030405060708090a0b0c0d0e0f"));
    // Tokens of the short key are taken, and none is made with it any more.
    let after = read(&path).unwrap();
    let old = crate::call::dialog_token::DialogToken::read(&after.seal, b"call", &token(&before));
    assert!(old.is_some() && token(&after.seal) != token(&before));
}

#[test]
fn rotation_puts_a_new_key_before_the_old_one() {
    let folder = folder();
    let path = folder.path().join("seal.key");
    let first = load_or_make(&path).unwrap().ring.current();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let second = rotate(&link, forced()).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!((second.len(), second[1].id, second[0].made), (2, first, Some(forced().now)));
    assert_eq!((ids(&path), mode(&path)), (vec![second[0].id, first], 0o600));
    assert_eq!(list(&path).unwrap(), second);
    let third = rotate(&path, forced()).unwrap();
    assert_eq!(ids(&path), [third[0].id, second[0].id], "the first one has gone");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left lying about");
}

#[test]
fn a_key_that_calls_may_need_is_not_dropped_unless_by_force() {
    let folder = folder();
    let path = folder.path().join("seal.key");
    let hex = |byte: &str| byte.repeat(32);
    put(&path, &format!("{} 2026-01-10T12:00:00Z\n{} 2025-12-01T00:00:00Z\n", hex("01"), hex("02")));
    let text = fs::read_to_string(&path).unwrap();
    let rotation = |now: &str| Rotation { force: false, now: at(now), max_age: WEEK };
    let error = rotate(&path, rotation("2026-01-17T11:59:59Z")).unwrap_err();
    assert!(matches!(error, SealKeyError::TooSoon { .. }));
    assert!(error.to_string().contains("may be up until 2026-01-17T12:00:00Z"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    assert!(!beside(&path).exists());
    rotate(&path, rotation("2026-01-17T12:00:00Z")).unwrap();
    // Of a key without a date the file's own one is looked at.
    put(&path, &format!("{}\n{}\n", hex("01"), hex("02")));
    let now = Rotation { now: Timestamp::now(), ..rotation("2026-01-01T00:00:00Z") };
    assert!(matches!(rotate(&path, now), Err(SealKeyError::TooSoon { .. })));
    rotate(&path, Rotation { force: true, ..now }).unwrap();
}

#[test]
fn two_rotations_at_once_do_not_lose_a_key() {
    let folder = folder();
    let path = folder.path().join("seal.key");
    load_or_make(&path).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    put(&beside(&path), "half");
    let error = rotate(&path, forced()).unwrap_err();
    assert!(error.to_string().contains("seal.key.new"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    assert_eq!(fs::read_to_string(beside(&path)).unwrap(), "half", "it is the other's");
    let missing = rotate(&folder.path().join("none"), forced()).unwrap_err();
    assert!(matches!(missing, SealKeyError::File { .. }));
}

#[test]
fn files_that_are_none_are_refused_without_showing_them() {
    let folder = folder();
    let path = folder.path().join("seal.key");
    let key = "ab".repeat(32);
    let bad = [
        String::new(),
        "xyz".to_owned(),
        key[1..].to_owned(),
        format!("{key}\nxyz"),
        format!("{key}\n{key}\n{key}\n"),
        "+1".repeat(32),
        format!("{key} yesterday\n"),
        format!("{key} 2026-01-10T12:00:00Z {key}\n"),
    ];
    for text in bad {
        put(&path, &text);
        let error = load_or_make(&path).unwrap_err();
        assert!(matches!(error, SealKeyError::Malformed { .. }), "{text}");
        assert!(!error.to_string().contains("xyz") && !error.to_string().contains("abab"));
        assert!(rotate(&path, forced()).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    put(&path, &format!("{key}\n{key}\n"));
    assert!(matches!(load_or_make(&path), Err(SealKeyError::Key { error: KeyError::SameId, .. })));
}
