//! Programs as containers run them.

use std::{path::Path, process::Command};

use crate::binary::root;

/// How what [`confined`] starts exits, with the reason on its standard error, where it cannot be done: who starts it is not root, or the
/// kernel makes no mount namespaces.
pub const UNABLE: i32 = 77;

/// `program` without root and without privileges to gain, as the user and group of the number `owner`, in a file system that is read-only
/// but for `folder`, and with the calls to the kernel that the seccomp profile allows. It dies with its spawner.
#[must_use]
pub fn confined(program: &Path, profile: &Path, folder: &Path, owner: u32) -> Command {
    let mut command = Command::new("python3");
    command.arg(root().join("tests/testkit/confined.py")).arg(profile).arg(folder).arg(owner.to_string()).arg(program);
    command
}
