//! Both databases go through the same migrations: same numbers, same names, no gaps. What a database has gone through never changes again, and so
//! the digest of each file is recorded.

use std::collections::{BTreeMap, BTreeSet};

use super::Fault;
use crate::tree::Tree;

const ALL: &str = "migrations/";
const SQLITE: &str = "migrations/sqlite/";
const POSTGRES: &str = "migrations/postgres/";
/// What `sha256sum` writes of both folders.
const DIGESTS: &str = "migrations/sha256sums";

fn names<'a>(tree: &'a Tree, folder: &'a str) -> BTreeSet<&'a str> {
    tree.under(folder).filter(|file| file.extension() == "sql").filter_map(|file| file.path.strip_prefix(folder)).collect()
}

#[must_use]
pub fn check(tree: &Tree) -> Vec<Fault> {
    let (sqlite, postgres) = (names(tree, SQLITE), names(tree, POSTGRES));
    let mut faults = Vec::new();
    for (folder, own, other) in [(SQLITE, &sqlite, &postgres), (POSTGRES, &postgres, &sqlite)] {
        for name in other.difference(own) {
            faults.push(Fault::new(
                format!("{folder}{name}"),
                "is missing; both databases have the same migrations (docs/recipes/add-a-migration.md)",
            ));
        }
        for (index, name) in own.iter().enumerate() {
            let expected = format!("{:04}_", index + 1);
            if !name.starts_with(&expected) {
                faults.push(Fault::new(
                    format!("{folder}{name}"),
                    format!("should start with {expected}: migrations count up from 0001 without gaps"),
                ));
            }
        }
    }
    faults.extend(changed(tree));
    faults
}

/// Files that are not as recorded, and records without a file.
fn changed(tree: &Tree) -> Vec<Fault> {
    let recorded = tree.get(DIGESTS).into_iter().flat_map(|file| file.text.lines().filter_map(|line| line.split_once("  ")));
    let mut recorded: BTreeMap<&str, &str> = recorded.map(|(digest, name)| (name, digest)).collect();
    let mut faults = Vec::new();
    for file in tree.under(ALL).filter(|file| file.extension() == "sql") {
        let said = match recorded.remove(file.path.trim_start_matches(ALL)) {
            Some(digest) if digest == file.sha256() => continue,
            Some(_) => "was changed: databases have gone through it as it was, so add another migration (docs/recipes/add-a-migration.md)",
            None => "has no digest in migrations/sha256sums (docs/recipes/add-a-migration.md)",
        };
        faults.push(Fault::new(file.path.clone(), said));
    }
    faults.extend(recorded.into_keys().map(|name| Fault::new(format!("{ALL}{name}"), "is recorded in migrations/sha256sums and missing")));
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDED: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn faults(files: &[&str], recorded: &[&str]) -> usize {
        let digests: String = recorded.iter().map(|name| format!("{RECORDED}  {name}\n")).collect();
        let files = files.iter().map(|path| (*path, "")).chain([(DIGESTS, &*digests)]);
        check(&Tree::of(&files.collect::<Vec<_>>())).len()
    }

    #[test]
    fn both_sides_match() {
        for (files, found) in [
            (&["migrations/sqlite/0001_a.sql", "migrations/postgres/0001_a.sql"][..], 0),
            (&["migrations/sqlite/0001_a.sql"], 1),
            (&["migrations/sqlite/0001_a.sql", "migrations/postgres/0001_b.sql"], 2),
            (&["migrations/sqlite/0002_a.sql", "migrations/postgres/0002_a.sql"], 2),
        ] {
            let recorded: Vec<&str> = files.iter().filter_map(|path| path.strip_prefix(ALL)).collect();
            assert_eq!(faults(files, &recorded), found, "{files:?}");
        }
    }

    #[test]
    fn a_migration_stays_as_it_was() {
        let files = ["migrations/sqlite/0001_a.sql", "migrations/postgres/0001_a.sql"];
        assert_eq!(faults(&files, &["sqlite/0001_a.sql"]), 1, "a file without a record");
        assert_eq!(faults(&files, &["sqlite/0001_a.sql", "postgres/0001_a.sql", "sqlite/0002_b.sql"]), 1, "a record without a file");
        let digests = format!("{RECORDED}  sqlite/0001_a.sql\n{RECORDED}  postgres/0001_a.sql\n");
        let changed = [(files[0], "DROP TABLE runs;"), (files[1], ""), (DIGESTS, &*digests)];
        assert_eq!(check(&Tree::of(&changed)).len(), 1, "a file that is not what was recorded");
    }
}
