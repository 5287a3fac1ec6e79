//! Which files have changed, told by looking at them again and again.
//!
//! Why not by the system's notifications: a project has few files, so that a look costs less than a millisecond, and it works the same for
//! folders that are mounted over a network or into a container, for editors that write in place and for those that rename.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Instant,
};

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    modified_s: i64,
    modified_ns: i64,
    bytes: u64,
    inode: u64,
}

/// Regular files that are there.
pub(super) type Snapshot = BTreeMap<PathBuf, Mark>;

pub(super) fn snapshot<'a>(files: impl IntoIterator<Item = &'a PathBuf>) -> Snapshot {
    files.into_iter().filter_map(|file| Some((file.clone(), mark(file)?))).collect()
}

/// None if it is not there.
fn mark(file: &Path) -> Option<Mark> {
    let found = fs::metadata(file).ok().filter(fs::Metadata::is_file)?;
    Some(Mark { modified_s: found.mtime(), modified_ns: found.mtime_nsec(), bytes: found.len(), inode: found.ino() })
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) file: PathBuf,
    /// None: the file is gone.
    pub(super) mark: Option<Mark>,
    /// When it was noticed.
    pub(super) since: Instant,
}

/// A file that is another than it was, and may become yet another.
#[derive(Clone, Copy)]
struct Settling {
    mark: Option<Mark>,
    since: Instant,
}

/// Tells of a change once the file was the same in two looks: editors write twice, and what is half written is not worth deploying.
pub(super) struct Watch {
    settled: Snapshot,
    settling: BTreeMap<PathBuf, Settling>,
}

impl Watch {
    pub(super) fn new(settled: Snapshot) -> Self {
        Self { settled, settling: BTreeMap::new() }
    }

    /// Whether the next look may tell of something.
    pub(super) fn is_settling(&self) -> bool {
        !self.settling.is_empty()
    }

    /// What has changed since the look before, in the order of names. `at` is the time of this look.
    pub(super) fn look(&mut self, now: &Snapshot, at: Instant) -> Vec<Change> {
        let all = self.settled.keys().chain(now.keys());
        let other: BTreeSet<&PathBuf> = all.filter(|file| self.settled.get(*file) != now.get(*file)).collect();
        let mut settling = BTreeMap::new();
        let mut changes = Vec::new();
        for file in other {
            let mark = now.get(file).copied();
            match self.settling.get(file) {
                Some(before) if before.mark == mark => changes.push(Change { file: file.clone(), mark, since: before.since }),
                before => {
                    let since = before.map_or(at, |before| before.since);
                    settling.insert(file.clone(), Settling { mark, since });
                }
            }
        }
        self.settling = settling;
        for Change { file, mark, .. } in &changes {
            self.settle(file, *mark);
        }
        changes
    }

    /// As the files are now, there is nothing to tell of them.
    pub(super) fn forgive<'a>(&mut self, files: impl IntoIterator<Item = &'a PathBuf>) {
        for file in files {
            self.settle(file, mark(file));
        }
    }

    fn settle(&mut self, file: &Path, mark: Option<Mark>) {
        match mark {
            Some(mark) => self.settled.insert(file.to_owned(), mark),
            None => self.settled.remove(file),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A file, and its length as what tells its states apart.
    type File = (&'static str, u64);

    fn at(files: &[File]) -> Snapshot {
        let mark = |bytes| Mark { modified_s: 1, modified_ns: 2, bytes, inode: 3 };
        files.iter().map(|(file, bytes)| (PathBuf::from(file), mark(*bytes))).collect()
    }

    /// Begins with the first of the looks, and holds what each later one told against what is expected: files, and lengths or that they are gone.
    fn check(looks: &[&[File]], expected: &[&[(&str, Option<u64>)]]) {
        let mut watch = Watch::new(at(looks[0]));
        let begun = Instant::now();
        for (index, (look, expected)) in looks[1..].iter().zip(expected).enumerate() {
            let changes = watch.look(&at(look), begun + Duration::from_millis(20) * index as u32);
            let told: Vec<(&str, Option<u64>)> =
                changes.iter().map(|change| (change.file.to_str().unwrap(), change.mark.map(|mark| mark.bytes))).collect();
            assert_eq!(&told, expected, "look {index} of {looks:?}");
        }
        assert_eq!(looks.len(), expected.len() + 1);
    }

    #[test]
    fn what_stays_is_not_told() {
        check(&[&[("a", 1)], &[("a", 1)], &[("a", 1)]], &[&[], &[]]);
    }

    #[test]
    fn a_change_is_told_once_and_when_it_is_stable() {
        check(&[&[("a", 1)], &[("a", 2)], &[("a", 2)], &[("a", 2)]], &[&[], &[("a", Some(2))], &[]]);
        check(&[&[("a", 1)], &[("a", 2)], &[("a", 3)], &[("a", 3)], &[("a", 3)]], &[&[], &[], &[("a", Some(3))], &[]]);
        check(&[&[("a", 1)], &[("a", 2)], &[("a", 1)], &[("a", 1)]], &[&[], &[], &[]]);
    }

    #[test]
    fn files_come_and_go() {
        check(&[&[], &[("a", 1)], &[("a", 1)], &[("a", 1)]], &[&[], &[("a", Some(1))], &[]]);
        check(&[&[("a", 1)], &[], &[], &[]], &[&[], &[("a", None)], &[]]);
        check(&[&[("a", 1)], &[], &[("a", 2)], &[("a", 2)]], &[&[], &[], &[("a", Some(2))]]);
        check(
            &[&[("a", 1), ("b", 1)], &[("b", 2), ("c", 1)], &[("b", 2), ("c", 1)]],
            &[&[], &[("a", None), ("b", Some(2)), ("c", Some(1))]],
        );
    }

    #[test]
    fn time_counts_from_the_first_sign() {
        let mut watch = Watch::new(at(&[("a", 1)]));
        let begun = Instant::now();
        let later = |looks: u32| begun + Duration::from_millis(20) * looks;
        assert!(watch.look(&at(&[("a", 2)]), later(0)).is_empty() && watch.is_settling());
        assert!(watch.look(&at(&[("a", 3)]), later(1)).is_empty());
        assert_eq!(watch.look(&at(&[("a", 3)]), later(2))[0].since, begun);
        assert!(!watch.is_settling());
    }

    #[test]
    fn files_are_told_apart_by_what_the_system_says() {
        let folder = tempfile::tempdir().unwrap();
        let files = ["a.ts", "b.ts", "gone.ts"].map(|name| folder.path().join(name));
        fs::write(&files[0], "1").unwrap();
        fs::write(&files[1], "1").unwrap();
        let before = snapshot(&files);
        assert_eq!(before.len(), 2);
        // As editors save.
        fs::write(folder.path().join("new"), "2").unwrap();
        fs::rename(folder.path().join("new"), &files[0]).unwrap();
        let after = snapshot(&files);
        assert_ne!(before[&files[0]], after[&files[0]]);
        assert_eq!(before[&files[1]], after[&files[1]]);
        let mut watch = Watch::new(before);
        watch.forgive(&files);
        assert!(watch.look(&after, Instant::now()).is_empty() && !watch.is_settling());
    }
}
