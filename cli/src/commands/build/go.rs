//! Go: the compiler makes a core module.

use std::{path::Path, process::Command};

use super::tool::{self, Need};
use crate::error::CliError;

const NEED: Need = Need { purpose: "compile Go", remedy: "get it from https://go.dev/dl" };

pub(super) fn module(root: &Path, module: &Path) -> Result<(), CliError> {
    let mut command = Command::new("go");
    command.args(["build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-o"]).arg(module).arg(".");
    command.current_dir(root).env("GOOS", "wasip1").env("GOARCH", "wasm");
    tool::run(&mut command, &NEED)
}
