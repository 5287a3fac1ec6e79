use std::os::unix::fs::PermissionsExt as _;

use sandmill_model::Timestamp;

use super::*;

fn workspace() -> WorkspaceId {
    WorkspaceId::new(Timestamp::from_micros(1_800_000_000_000_000))
}

fn text(bytes: u8) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode([bytes; 32])
}

fn seals(keys: &str) -> Seals {
    Seals::load(KeySource::Text(Zeroizing::new(keys.to_owned())), &BTreeSet::new()).unwrap().0
}

#[test]
fn a_secret_opens_in_its_place_alone() {
    let seals = seals(&text(1));
    let (own, other) = (workspace(), workspace());
    let key = seals.unwrap(&seals.new_key(own, 7).unwrap()).unwrap();
    let place = Place { workspace: own, kind: SealedKind::Resource, path: "f/a/b" };
    let sealed = key.seal(place, b"hunter2").unwrap();
    assert_eq!(key.open(place, &sealed).unwrap().as_slice(), b"hunter2");
    assert_ne!(key.seal(place, b"hunter2").unwrap(), sealed, "nonces differ");
    for elsewhere in [
        Place { workspace: other, ..place },
        Place { kind: SealedKind::Variable, ..place },
        Place { path: "f/a/c", ..place },
        Place { path: "f/a/B", ..place },
    ] {
        assert!(matches!(key.open(elsewhere, &sealed), Err(StoreError::Corrupt(_))), "{elsewhere:?}");
    }
    for index in 0..sealed.len() {
        let mut forged = sealed.clone();
        forged[index] ^= 1;
        assert!(key.open(place, &forged).is_err(), "byte {index}");
        assert!(key.open(place, &sealed[..index]).is_err(), "cut at {index}");
    }
    let next = seals.unwrap(&seals.new_key(own, 8).unwrap()).unwrap();
    assert!(next.open(place, &sealed).is_err());
}

#[test]
fn a_wrapped_key_is_of_one_workspace_and_number() {
    let own = seals(&text(1));
    let wrapped = own.new_key(workspace(), 1).unwrap();
    assert!(own.unwrap(&wrapped).is_ok());
    assert!(own.unwrap(&Wrapped { workspace: workspace(), ..wrapped.clone() }).is_err());
    assert!(own.unwrap(&Wrapped { number: 2, ..wrapped.clone() }).is_err());
    let other = seals(&text(2));
    match other.unwrap(&wrapped) {
        Err(StoreError::Keys(why)) => assert!(why.contains(&wrapped.by) && why.contains("SANDMILL_INSTANCE_KEY"), "{why}"),
        _ => panic!("another instance key"),
    }
    // The first wraps, the others unwrap.
    let both = seals(&format!("# new\n{}\n\n{}\n", text(2), text(1)));
    assert!(both.unwrap(&wrapped).is_ok());
    assert!(seals(&format!("{} {}", text(2), text(1))).unwrap(&wrapped).is_ok());
    assert_eq!(both.active(), other.active());
    assert_ne!(both.active(), wrapped.by);
}

#[test]
fn a_file_is_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("instance-key");
    let source = KeySource::File(file.clone());
    let (first, is_new) = Seals::load(source.clone(), &BTreeSet::new()).unwrap();
    assert!(is_new);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let written = std::fs::read_to_string(&file).unwrap();
    let needed = BTreeSet::from([first.active()]);
    let (again, is_new) = Seals::load(source.clone(), &needed).unwrap();
    assert_eq!((again.active(), is_new), (first.active(), false));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");

    // Lost: nothing is made in its place.
    std::fs::remove_file(&file).unwrap();
    let lost = |result: Result<(Seals, bool), StoreError>| match result {
        Err(StoreError::Keys(why)) => why,
        _ => panic!("it cannot be opened"),
    };
    let why = lost(Seals::load(source.clone(), &needed));
    assert!(why.contains(&first.active()) && why.contains("there is no file"), "{why}");
    assert!(!file.exists());

    // Another one: it stays as it is.
    std::fs::write(&file, text(9)).unwrap();
    let why = lost(Seals::load(source.clone(), &needed));
    assert!(why.contains(&first.active()) && why.contains("it is not in"), "{why}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text(9));

    // No keys at all.
    for bad in ["", "# nothing\n", "hunter2!", "aHVudGVyMg==", &format!("{}\nshort", text(1)), &format!("{}\n", text(1)).repeat(17)] {
        std::fs::write(&file, bad).unwrap();
        let why = lost(Seals::load(source.clone(), &BTreeSet::new()));
        assert!(!why.contains("hunter2") && !why.contains("aHVudGVyMg"), "{why}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), bad);
    }
    std::fs::write(&file, written).unwrap();
    assert!(Seals::load(source, &needed).is_ok());
}

#[test]
fn keys_are_read_again_while_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    std::fs::write(&file, text(1)).unwrap();
    let (seals, _) = Seals::load(KeySource::File(file.clone()), &BTreeSet::new()).unwrap();
    let wrapped = seals.new_key(workspace(), 1).unwrap();
    let needed = BTreeSet::from([wrapped.by.clone()]);

    std::fs::write(&file, text(2)).unwrap();
    assert!(seals.reload(&needed).is_err(), "the key that is needed is gone");
    assert!(seals.unwrap(&wrapped).is_ok(), "what it had goes on");
    assert_eq!(seals.active(), wrapped.by);

    std::fs::write(&file, format!("{}\n{}", text(2), text(1))).unwrap();
    seals.reload(&needed).unwrap();
    assert!(seals.unwrap(&wrapped).is_ok());
    assert_ne!(seals.active(), wrapped.by);
    // A key that another node uses already is found in the file without being told.
    let (other, _) = Seals::load(KeySource::Text(Zeroizing::new(text(3))), &BTreeSet::new()).unwrap();
    std::fs::write(&file, format!("{}\n{}\n{}", text(3), text(2), text(1))).unwrap();
    assert!(seals.unwrap(&other.new_key(workspace(), 1).unwrap()).is_ok());
}

#[test]
fn nothing_prints_a_key() {
    let source = KeySource::Text(Zeroizing::new(text(1)));
    assert!(!format!("{:?}", Sealing { source, now: Timestamp::from_micros(0) }).contains("AQEB"));
}
