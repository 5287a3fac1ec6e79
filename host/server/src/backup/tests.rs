use std::{fs, io::Write, path::PathBuf};

use super::*;
use crate::blob_options::BlobOptions;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A data folder with a database of this release, and an object.
    fn data(&self) -> PathBuf {
        let data = self.path("data");
        fs::create_dir_all(data.join("objects/0190-w")).unwrap();
        let url = format!("sqlite:{}", data.join(DATABASE).display());
        let options = sandmill_store::Options { url, durability: sandmill_store::Durability::Normal };
        block_on(async { sandmill_store::connect(&options).await.unwrap().health.close().await }).unwrap();
        fs::write(data.join("admin-token"), "sm_secret").unwrap();
        // Digests, since what repeats itself would take no room in the archive.
        let object = (0..10_000_u32).flat_map(|number| *sandmill_model::Digest::of(&number.to_le_bytes()).as_bytes()).collect::<Vec<u8>>();
        fs::write(data.join("objects/0190-w/0191-abc"), object).unwrap();
        fs::write(data.join("objects/0190-w/0191-abc#1"), "being written").unwrap();
        fs::create_dir(data.join("code")).unwrap();
        data
    }

    fn backup(&self, data: PathBuf) -> anyhow::Result<PathBuf> {
        let file = self.path("backup.tar.zst");
        backup(&BackupOptions {
            file: file.clone(),
            places: Places { data, database_url: None, objects_dir: None, blob: BlobOptions::default() },
            config: None,
        })?;
        Ok(file)
    }

    /// An archive of these files, with digests of them.
    fn crafted(&self, files: &[(&str, &[u8])]) -> PathBuf {
        let mut tar = tar::Builder::new(Vec::new());
        let mut digests = Digests::new();
        let mut add = |name: &str, content: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            // Not by the setter, which refuses what a stranger would write.
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            tar.append(&header, content).unwrap();
        };
        for (name, content) in files {
            add(name, content);
            digests.insert((*name).to_owned(), Written { bytes: content.len() as u64, sha256: sandmill_model::Digest::of(content).hex() });
        }
        add(DIGESTS, &serde_json::to_vec(&digests).unwrap());
        self.compressed(&tar.into_inner().unwrap())
    }

    fn compressed(&self, tar: &[u8]) -> PathBuf {
        let file = self.path("crafted.tar.zst");
        fs::write(&file, zstd::encode_all(tar, 3).unwrap()).unwrap();
        file
    }

    fn restore(&self, file: PathBuf, into: &str) -> anyhow::Result<PathBuf> {
        let data = self.path(into);
        restore(&RestoreOptions { file, data: data.clone() })?;
        Ok(data)
    }

    /// Why an archive is refused, after which nothing is left of it.
    fn refusal(&self, file: PathBuf) -> String {
        let data = self.path("refused");
        let refusal = restore(&RestoreOptions { file, data: data.clone() }).unwrap_err();
        assert_eq!(fs::read_dir(&data).unwrap().count(), 0, "{refusal:#}");
        format!("{refusal:#}")
    }
}

fn header(schema: i64, format: u32) -> Vec<u8> {
    serde_json::to_vec(&Header { format, release: "9.9".to_owned(), schema, created_at: "then".to_owned() }).unwrap()
}

#[test]
fn what_was_backed_up_comes_back() {
    let folder = Folder::new();
    let data = folder.data();
    let file = folder.backup(data.clone()).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&fs::metadata(&file).unwrap()) & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.0.path()).unwrap().count(), 2, "nothing is left beside it");
    let restored = folder.restore(file.clone(), "restored").unwrap();
    for name in ["admin-token", "objects/0190-w/0191-abc"] {
        assert_eq!(fs::read(restored.join(name)).unwrap(), fs::read(data.join(name)).unwrap(), "{name}");
    }
    let mut names: Vec<_> = fs::read_dir(&restored).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["admin-token", "objects", DATABASE]);
    assert_eq!(fs::read_dir(restored.join("objects/0190-w")).unwrap().count(), 1);
    let again = folder.backup(data).unwrap_err();
    assert!(again.to_string().contains("there already"), "{again}");
    let full = folder.restore(file, "restored").unwrap_err();
    assert!(full.to_string().contains("not empty"), "{full}");
}

#[test]
fn what_is_no_data_folder_is_not_backed_up() {
    let folder = Folder::new();
    let error = folder.backup(folder.path("nowhere")).unwrap_err();
    assert!(error.to_string().contains("there is no database"), "{error}");
    let places =
        Places { data: folder.data(), database_url: Some("postgres://a/b".to_owned()), objects_dir: None, blob: BlobOptions::default() };
    let options = BackupOptions { file: folder.path("x"), places, config: None };
    assert!(backup(&options).unwrap_err().to_string().contains("pg_dump"));
    fs::write(folder.path("data").join(DATABASE), "text").unwrap();
    let error = folder.backup(folder.path("data")).unwrap_err();
    assert!(format!("{error:#}").contains("unexpected"), "{error:#}");
    assert!(!folder.path("backup.tar.zst").exists());
}

#[test]
fn a_file_without_links_is_copied_and_replaces_nothing() {
    let folder = Folder::new();
    fs::write(folder.path("archive"), "whole").unwrap();
    write::copy_new(&folder.path("archive"), &folder.path("x")).unwrap();
    assert_eq!(fs::read_to_string(folder.path("x")).unwrap(), "whole");
    let ways: [fn(&Path, &Path) -> std::io::Result<()>; 2] = [write::copy_new, |from, to| write::publish(from, to, Path::new("."))];
    for publish in ways {
        fs::write(folder.path("there"), "mine").unwrap();
        assert_eq!(publish(&folder.path("archive"), &folder.path("there")).unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(folder.path("there")).unwrap(), "mine");
    }
}

#[test]
fn what_is_damaged_is_refused() {
    let folder = Folder::new();
    let file = folder.backup(folder.data()).unwrap();
    let whole = fs::read(&file).unwrap();
    let damaged = |bytes: &[u8]| {
        let file = folder.path("damaged");
        fs::write(&file, bytes).unwrap();
        folder.refusal(file)
    };
    for part in 0..10 {
        let cut = damaged(&whole[..whole.len() * part / 10]);
        assert!(cut.contains("damaged"), "{cut}");
    }
    damaged(&whole[..whole.len() - 1]);
    let tar = zstd::decode_all(whole.as_slice()).unwrap();
    let mut harmless = 0;
    for part in 0..40 {
        let mut changed = whole.clone();
        let at = (whole.len() - 1) * part / 39;
        changed[at] ^= 0x10;
        // A copy of zeros from elsewhere among zeros is the same zeros: nothing is damaged then.
        if zstd::decode_all(changed.as_slice()).is_ok_and(|content| content == tar) {
            harmless += 1;
        } else {
            damaged(&changed);
        }
    }
    assert!(harmless <= 4, "{harmless} of 40 changes do not change what is in the archive");
    // The same with a checksum that is right: one byte of a file, and the end of the tar cut off.
    let mut changed = tar.clone();
    let at = tar.windows(9).position(|window| window == b"sm_secret").unwrap();
    changed[at] ^= 1;
    let refusal = folder.refusal(folder.compressed(&changed));
    assert!(refusal.contains("admin-token") && refusal.contains("not as it was written"), "{refusal}");
    for part in 0..10 {
        folder.refusal(folder.compressed(&tar[..tar.len() * part / 10]));
    }
    let mut trailing = fs::OpenOptions::new().append(true).open(&file).unwrap();
    trailing.write_all(b"and more").unwrap();
    folder.refusal(file);
}

#[test]
fn what_no_backup_holds_is_refused() {
    let folder = Folder::new();
    let ours = header(1, FORMAT);
    for name in [
        "../evil",
        "/tmp/evil",
        "objects/../../evil",
        "objects/a",
        "objects/a/b/c",
        "objects//b",
        "objects/A/b",
        "code/x",
        "sandmill.db-wal",
        "./sandmill.db",
        ".",
        "",
    ] {
        let refusal = folder.refusal(folder.crafted(&[(HEADER, &ours), (name, b"x")]));
        assert!(refusal.contains("no backup") || refusal.contains("damaged"), "{name}: {refusal}");
    }
    assert!(!folder.path("evil").exists() && !PathBuf::from("/tmp/evil").exists());
    let twice = folder.refusal(folder.crafted(&[(HEADER, &ours), (DATABASE, b"x"), (DATABASE, b"y")]));
    assert!(twice.contains("twice"), "{twice}");
    let without = folder.refusal(folder.crafted(&[(HEADER, &ours)]));
    assert!(without.contains("damaged"), "{without}");
    let foreign = folder.refusal(folder.crafted(&[(DATABASE, b"x")]));
    assert!(foreign.contains("not a backup"), "{foreign}");
    let no_database = folder.refusal(folder.crafted(&[(HEADER, &ours), (DATABASE, b"text")]));
    assert!(no_database.contains("database"), "{no_database}");
}

#[test]
fn links_are_refused() {
    let folder = Folder::new();
    let mut tar = tar::Builder::new(Vec::new());
    let ours = header(1, FORMAT);
    let mut header = tar::Header::new_gnu();
    header.set_size(ours.len() as u64);
    tar.append_data(&mut header, HEADER, ours.as_slice()).unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    tar.append_link(&mut header, DATABASE, "/etc/passwd").unwrap();
    let refusal = folder.refusal(folder.compressed(&tar.into_inner().unwrap()));
    assert!(refusal.contains("not a plain file"), "{refusal}");
}

#[test]
fn what_a_newer_release_wrote_is_refused() {
    let folder = Folder::new();
    let newer = folder.refusal(folder.crafted(&[(HEADER, &header(9999, FORMAT)), (DATABASE, b"x")]));
    assert!(newer.contains("newer release of Sandmill (9.9, schema 9999"), "{newer}");
    let newer = folder.refusal(folder.crafted(&[(HEADER, &header(1, FORMAT + 1)), (DATABASE, b"x")]));
    assert!(newer.contains("newer release"), "{newer}");
}
