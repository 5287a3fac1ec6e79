//! Both databases go through the same migrations: same numbers, same names, no gaps.

use std::collections::BTreeSet;

use super::Fault;
use crate::tree::Tree;

const SQLITE: &str = "migrations/sqlite/";
const POSTGRES: &str = "migrations/postgres/";

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
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_match() {
        for (files, faults) in [
            (&["migrations/sqlite/0001_a.sql", "migrations/postgres/0001_a.sql"][..], 0),
            (&["migrations/sqlite/0001_a.sql"], 1),
            (&["migrations/sqlite/0001_a.sql", "migrations/postgres/0001_b.sql"], 2),
            (&["migrations/sqlite/0002_a.sql", "migrations/postgres/0002_a.sql"], 2),
        ] {
            let files: Vec<_> = files.iter().map(|path| (*path, "")).collect();
            assert_eq!(check(&Tree::of(&files)).len(), faults, "{files:?}");
        }
    }
}
