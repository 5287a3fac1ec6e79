//! The invariants of ARCHITECTURE.md and STYLE.md that can be read off the files, one module each.
//!
//! Every rule takes its input as a value, so that its own tests can show it a repository that breaks it.

use std::fmt;

use anyhow::{Result, bail};

use crate::tree::Tree;

pub mod dispatch;
pub mod errors;
pub mod graph;
pub mod hygiene;
pub mod kinds;
pub mod lengths;
pub mod migrations;
pub mod model;
pub mod unsafety;

/// One place that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// A file with or without a line, or a crate.
    pub place: String,
    /// Which invariant, and what to do.
    pub message: String,
}

impl Fault {
    #[must_use]
    pub fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

type Rule = fn(&Tree) -> Vec<Fault>;

const RULES: &[(&str, Rule)] = &[
    ("file lengths", lengths::check),
    ("migration parity", migrations::check),
    ("names of trigger kinds", kinds::check),
    ("one way to start a run", dispatch::check),
    ("a model without I/O", model::check),
    ("unsafe code", unsafety::check),
    ("workspace lints", hygiene::lints),
    ("places and servers", hygiene::words),
    ("error pages", errors::check),
];

/// Every fault of the repository.
///
/// # Errors
/// If the repository cannot be read.
pub fn faults() -> Result<Vec<Fault>> {
    let tree = Tree::read()?;
    let mut faults = graph::check(&graph::read()?);
    for (_, rule) in RULES {
        faults.extend(rule(&tree));
    }
    Ok(faults)
}

/// Prints the faults, and the files that are on their way to being too long.
///
/// # Errors
/// If there are faults.
pub fn run() -> Result<()> {
    for hint in lengths::hints(&Tree::read()?) {
        eprintln!("info: {hint}");
    }
    let faults = faults()?;
    for fault in &faults {
        eprintln!("tidy: {fault}");
    }
    if !faults.is_empty() {
        bail!("{} faults", faults.len());
    }
    eprintln!("tidy: crate graph and {} more rules hold", RULES.len());
    Ok(())
}
