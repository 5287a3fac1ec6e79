//! A build worker alone, for tests; the server's binary has the same as a subcommand.

use std::process::ExitCode;

fn main() -> ExitCode {
    sandmill_compiler::worker_main()
}
