//! What outbound HTTP may use: of a run, of a workspace, of a node.

use std::time::Duration;

const KIB: usize = 1024;
const MIB: u64 = 1024 * 1024;

/// Workspaces whose connections are kept at once.
pub(super) const CLIENTS_MAX: usize = 4_096;
/// Connections that stay open without a request, to one origin for one workspace.
pub(super) const IDLE_CONNECTIONS_PER_ORIGIN: usize = 32;
/// Connections of one workspace to the API of the node.
pub(super) const API_CONNECTIONS_MAX: usize = 32;
/// The same of all of them: as many as the node takes. A workspace has no more than it leaves free.
pub(super) const API_CONNECTIONS_OF_ALL_MAX: usize = 1_000;
/// How often who waits for one looks for what others have closed.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(20);
/// For how long they do.
pub(super) const IDLE_CONNECTION: Duration = Duration::from_secs(10);
/// How long a request waits for one of its workspace's connections.
pub(super) const WAIT_FOR_CONNECTION: Duration = Duration::from_secs(30);
/// Names of one workspace that are looked up at once: each takes a thread.
pub(super) const LOOKUPS_PER_WORKSPACE: usize = 16;
/// Names of brokers, of all workspaces, that are looked up at once.
pub(super) const LOOKUPS_OF_BROKERS: usize = 16;
/// Addresses of one name that are tried.
pub(super) const ADDRESSES_TRIED: usize = 4;
/// Addresses of one name that are looked at; a name with more is refused.
pub(super) const ADDRESSES_MAX: usize = 64;

/// Bytes of a request's headers, what they take in memory included; more is a trap. A guest may hold thousands.
pub(super) const REQUEST_HEADER_BYTES: usize = 32 * KIB;
/// Bytes of a request's headers, once placeholders in them are replaced.
pub(super) const REPLACED_HEADER_BYTES: usize = 64 * KIB;
/// Bytes that placeholders may add to one part of a request's body.
pub(super) const REPLACED_BODY_BYTES: usize = 64 * KIB;
/// Bytes of a request's method that HTTP does not name itself, and of its host and port: a name of DNS has 253.
pub(super) const METHOD_BYTES: usize = 64;
pub(super) const AUTHORITY_BYTES: usize = 320;
/// Bytes of a request's path and query, also once placeholders in it are replaced.
pub(super) const TARGET_BYTES: usize = 16 * KIB;
/// Bytes of a request's body that wait to be sent, twice.
pub(super) const BODY_CHUNK_BYTES: usize = 16 * KIB;
/// Bytes of an answer that a peer may send ahead, for each stream of HTTP/2 and for a whole connection.
pub(super) const WINDOW_BYTES: u32 = 256 * 1024;
pub(super) const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

/// Limits that differ between installations, and in tests.
#[derive(Clone, Copy, Debug)]
pub struct HttpLimits {
    /// Connections of a workspace, in use or idle.
    pub connections_per_workspace: usize,
    /// Requests under way, bodies of answers included.
    pub requests_per_run: usize,
    pub requests_per_workspace: usize,
    /// Bytes of an answer's status line and headers.
    pub response_header_bytes: usize,
    /// Bytes of the bodies of all answers and of all requests of a run.
    pub bytes_down_per_run: u64,
    pub bytes_up_per_run: u64,
    /// From a name to a connection that is ready, TLS included.
    pub connect: Duration,
    /// From the last byte sent to an answer's headers.
    pub first_byte: Duration,
    /// Between two parts of an answer's body.
    pub between_bytes: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connections_per_workspace: 256,
            requests_per_run: 256,
            requests_per_workspace: 1_024,
            response_header_bytes: 32 * KIB,
            bytes_down_per_run: 512 * MIB,
            bytes_up_per_run: 512 * MIB,
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(60),
            between_bytes: Duration::from_secs(30),
        }
    }
}
