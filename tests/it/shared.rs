//! One server for all tests that do not need their own.

use sandmill_testkit::server::Server;
use std::sync::OnceLock;

/// Started by the first test that asks; ends with the test process.
pub(crate) fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start(&[]).expect("the server starts"))
}
