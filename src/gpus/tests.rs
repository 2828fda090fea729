//! Against a library of our own making, which is loaded by its path.

use std::path::PathBuf;
use std::process::Command;

use super::*;

/// Built once for each test, by the C compiler that links Rust programs, too.
fn stand_in(folder: &Path) -> PathBuf {
    let library = folder.join("libnvidia-ml.so.1");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/gpus/stand_in.c");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).status();
    assert!(built.unwrap().success());
    library
}

#[test]
fn what_is_missing_is_said_in_a_line() {
    let missing = nvml::cards(Some("/nowhere/libnvidia-ml.so.1".as_ref())).unwrap_err();
    assert!(missing.contains("/nowhere/libnvidia-ml.so.1 cannot be loaded"), "{missing}");
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join("odd.so");
    std::fs::write(&odd, "no library").unwrap();
    let missing = nvml::cards(Some(&odd)).unwrap_err();
    assert!(missing.contains("cannot be loaded") && missing.lines().count() == 1, "{missing}");
}

#[test]
fn cards_are_read_as_far_as_they_can_be() {
    let folder = tempfile::tempdir().unwrap();
    let cards = nvml::cards(Some(&stand_in(folder.path()))).unwrap();
    assert_eq!(cards.len(), 2);
    assert_eq!(cards[0].name.as_deref(), Some("Stand-in 9000"));
    assert_eq!(cards[0].uuid.as_deref(), Some("GPU-0000"));
    assert_eq!(cards[0].memory, Some((24 << 30, 6 << 30, 18 << 30)));
    assert!(cards[0].notes.is_empty(), "{:?}", cards[0].notes);
    // A card that cannot say something says the rest.
    assert_eq!((cards[1].id.as_str(), cards[1].memory), ("1", None));
    assert_eq!(cards[1].notes.len(), 2, "{:?}", cards[1].notes);
}
