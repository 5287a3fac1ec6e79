//! Which crate may see which. An edge that is not here needs an ADR, then a line here.

use anyhow::{Context, Result};
use serde::Deserialize;

use super::Fault;
use crate::exec;

/// A crate and the crates of this workspace that it may link. `*`: the composition root.
const EDGES: &[(&str, &[&str])] = &[
    ("sandmill-model", &[]),
    ("sandmill-store", &["sandmill-model"]),
    ("sandmill-sandbox", &["sandmill-model"]),
    ("sandmill-triggers", &["sandmill-model"]),
    ("sandmill-flows", &["sandmill-model"]),
    ("sandmill-capabilities", &["sandmill-model", "sandmill-sandbox"]),
    ("sandmill-compiler", &["sandmill-model", "sandmill-sandbox"]),
    ("sandmill-runner", &["sandmill-model", "sandmill-sandbox", "sandmill-capabilities", "sandmill-compiler"]),
    ("sandmill-dispatch", &["sandmill-model", "sandmill-store", "sandmill-flows"]),
    ("sandmill-api", &["sandmill-model", "sandmill-store", "sandmill-dispatch"]),
    ("sandmill-web", &[]),
    ("sandmill-cli", &["sandmill-model"]),
    ("sandmill", &["*"]),
    ("sandmill-tests", &["sandmill-testkit"]),
    ("sandmill-testkit", &[]),
    // They ship nothing: one measures parts on their own, one is for fuzzing (ADR 16), one exercises runtimes without the host.
    (
        "sandmill-benches",
        &["sandmill-model", "sandmill-sandbox", "sandmill-capabilities", "sandmill-compiler", "sandmill-runner", "sandmill-testkit"],
    ),
    ("sandmill-properties", &["sandmill-model", "sandmill-sandbox", "sandmill-compiler"]),
    ("sandmill-runtimes-harness", &[]),
    ("xtask", &[]),
];

/// What only some crates may depend on directly: name or prefix (ending in `-`) of the dependency, who may, why.
const RESERVED: &[(&[&str], &[&str], &str)] = &[
    (
        &["wasmtime", "wasmtime-", "cranelift-"],
        &[
            "sandmill-sandbox",
            "sandmill-capabilities",
            "sandmill-compiler",
            "sandmill-runner",
            "sandmill",
            "sandmill-benches",
            "sandmill-properties",
            "sandmill-runtimes-harness",
        ],
        "wasmtime takes minutes to build and knows nothing that others need; talk to it through `Executor` or `Builder` of the model",
    ),
    (
        &["wasmparser", "wit-component", "wit-parser"],
        &[
            "sandmill-sandbox",
            "sandmill-capabilities",
            "sandmill-compiler",
            "sandmill-runner",
            "sandmill-cli",
            "sandmill",
            "sandmill-benches",
            "sandmill-runtimes-harness",
        ],
        "components are read where they are compiled, and made of modules where `sandmill build` does (ADR 13)",
    ),
    (
        &["sqlx", "sqlx-", "rusqlite", "tokio-postgres"],
        &["sandmill-store", "sandmill-capabilities"],
        "SQL is written once, in the store; add a whole operation to one of its traits",
    ),
    (
        &["axum", "axum-", "utoipa"],
        &["sandmill-api", "sandmill-web", "sandmill", "sandmill-benches"],
        "HTTP serving is the API's; a kind implements `Endpoint` and sees `http` types only",
    ),
    (
        &["rdkafka", "async-nats", "rumqttc", "aws-sdk-", "lapin", "tokio-tungstenite", "google-cloud-", "pgwire-", "pg_walstream"],
        &["sandmill-triggers"],
        "broker clients are for trigger kinds; reach a broker through a port that a kind's `Publisher` implements",
    ),
    (
        &["tokio", "tokio-", "reqwest", "hyper", "hyper-", "rustix", "tempfile"],
        &[
            "sandmill-store",
            "sandmill-sandbox",
            "sandmill-triggers",
            "sandmill-capabilities",
            "sandmill-compiler",
            "sandmill-runner",
            "sandmill-dispatch",
            "sandmill-api",
            "sandmill-web",
            "sandmill-cli",
            "sandmill",
            "sandmill-tests",
            "sandmill-testkit",
            "sandmill-benches",
            "sandmill-properties",
            "sandmill-runtimes-harness",
        ],
        "the model, flows and xtask do no I/O through a runtime; define a trait in the model and implement it where the I/O is",
    ),
];

/// Crates that may be a dependency of tests only, of any crate.
const FOR_TESTS: &[&str] = &["sandmill-testkit"];

#[derive(Clone, Debug, Deserialize)]
pub struct Graph {
    pub packages: Vec<Package>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Package {
    pub name: String,
    pub dependencies: Vec<Dependency>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Dependency {
    pub name: String,
    /// None, `dev` or `build`.
    pub kind: Option<String>,
}

/// # Errors
/// If cargo cannot read the workspace.
pub fn read() -> Result<Graph> {
    let text = exec::read(exec::cargo().args(["metadata", "--format-version", "1", "--no-deps"]))?;
    serde_json::from_str(&text).context("`cargo metadata` wrote something else than expected")
}

#[must_use]
pub fn check(graph: &Graph) -> Vec<Fault> {
    graph.packages.iter().flat_map(|package| edges(graph, package).into_iter().chain(reserved(package))).collect()
}

fn edges(graph: &Graph, package: &Package) -> Vec<Fault> {
    let Some((_, allowed)) = EDGES.iter().find(|(name, _)| *name == package.name) else {
        let message = "is not in the crate graph; if a module does not do, write an ADR and add it to EDGES in xtask/src/tidy/graph.rs";
        return vec![Fault::new(&package.name, message)];
    };
    let is_local = |dependency: &&Dependency| graph.packages.iter().any(|package| package.name == dependency.name);
    let is_allowed = |dependency: &Dependency| {
        let for_tests = dependency.kind.as_deref() == Some("dev") && FOR_TESTS.contains(&dependency.name.as_str());
        for_tests || allowed.contains(&"*") || allowed.contains(&dependency.name.as_str())
    };
    let forbidden = package.dependencies.iter().filter(is_local).filter(|dependency| !is_allowed(dependency));
    let message = |dependency: &Dependency| {
        format!(
            "must not depend on {}: that edge is not in the crate graph; siblings meet in the server, or write an ADR and add the edge",
            dependency.name
        )
    };
    forbidden.map(|dependency| Fault::new(&package.name, message(dependency))).collect()
}

fn reserved(package: &Package) -> Vec<Fault> {
    let mut faults = Vec::new();
    for dependency in package.dependencies.iter().filter(|dependency| dependency.kind.as_deref() != Some("dev")) {
        for (names, allowed, reason) in RESERVED {
            let is_meant = |name: &&str| *name == dependency.name || (name.ends_with('-') && dependency.name.starts_with(*name));
            if names.iter().any(is_meant) && !allowed.contains(&package.name.as_str()) {
                faults.push(Fault::new(&package.name, format!("must not depend on {}: {reason}", dependency.name)));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        let dependency = |(name, kind): &(&str, Option<&str>)| Dependency { name: (*name).into(), kind: kind.map(Into::into) };
        Package { name: name.into(), dependencies: dependencies.iter().map(dependency).collect() }
    }

    /// Faults of a workspace in which only `name` depends on anything.
    fn check_one(name: &str, dependency: &str, kind: Option<&str>) -> usize {
        let mut packages: Vec<Package> = EDGES.iter().filter(|(other, _)| *other != name).map(|(other, _)| package(other, &[])).collect();
        packages.push(package(name, &[(dependency, kind)]));
        check(&Graph { packages }).len()
    }

    #[test]
    fn edges_outside_the_graph_are_faults() {
        for (name, dependency, kind, faults) in [
            ("sandmill-store", "sandmill-model", None, 0),
            ("sandmill-store", "sandmill-sandbox", None, 1),
            ("sandmill-model", "sandmill-store", Some("dev"), 1),
            ("sandmill-cli", "sandmill-api", None, 1),
            ("sandmill", "sandmill-api", None, 0),
            ("sandmill-store", "sandmill-testkit", Some("dev"), 0),
            ("sandmill-store", "sandmill-testkit", None, 1),
            ("sandmill-api", "wasmtime", None, 1),
            ("sandmill-api", "wasmtime-wasi", None, 1),
            ("sandmill-runner", "wasmtime", None, 0),
            ("sandmill-dispatch", "sqlx", None, 1),
            ("sandmill-capabilities", "sqlx", None, 0),
            ("sandmill-triggers", "axum", None, 1),
            ("sandmill-triggers", "rdkafka", None, 0),
            ("sandmill-dispatch", "rdkafka", None, 1),
            ("sandmill-model", "tokio", None, 1),
            ("sandmill-model", "serde", None, 0),
        ] {
            assert_eq!(check_one(name, dependency, kind), faults, "{name} -> {dependency}");
        }
    }

    #[test]
    fn an_unknown_crate_is_a_fault() {
        assert_eq!(check(&Graph { packages: vec![package("sandmill-utils", &[])] }).len(), 1);
    }
}
