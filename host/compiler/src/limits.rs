//! Every bound of a build, in one place. Units are last in each name.

use std::time::Duration;

const MIB: usize = 1024 * 1024;

/// Source of one script. A bundle of many npm packages is below this.
pub const SOURCE_BYTES_MAX: usize = 4 * MIB;
/// Brackets inside each other in a source: more than the runtime's parser takes, which is about 400.
pub const SOURCE_NESTING_MAX: usize = 500;
/// Operators and keywords in one expression or statement of a source, those around it included. What walks a syntax tree so
/// deep takes less than a tenth of [`WORKER_STACK_BYTES`].
pub const SOURCE_CHAIN_MAX: usize = 10_000;
/// An uploaded component.
pub const COMPONENT_BYTES_MAX: usize = 64 * MIB;
/// A schema, inferred or described by a component.
pub const SCHEMA_BYTES_MAX: usize = 256 * 1024;
/// Nesting of a schema, and of the types that one is inferred from.
pub const SCHEMA_DEPTH_MAX: usize = 64;
/// Schema objects and arrays in one inferred schema.
pub const SCHEMA_NODES_MAX: usize = 10_000;
/// Faults reported for one file; what follows is rarely news.
pub const DIAGNOSTICS_MAX: usize = 50;
/// Characters kept of the source line that a fault is on.
pub const SOURCE_LINE_CHARS_MAX: usize = 300;
/// Characters kept of a message that came out of a guest.
pub const MESSAGE_CHARS_MAX: usize = 2_000;

/// Fuel of a module's top level. A hosted script pays for it in every run.
pub const LOAD_FUEL_MAX: u64 = 4_000_000_000;
/// Memory of a module's top level: the default of a run.
pub const LOAD_MEMORY_BYTES_MAX: usize = 256 * MIB;
/// Clock time of a module's top level.
pub const LOAD_WALL: Duration = Duration::from_secs(10);

/// Clock time of one request to a build worker, unless `Options` says otherwise.
pub const REQUEST_WALL: Duration = Duration::from_secs(60);
/// Processor time of one request, all threads together.
pub const REQUEST_CPU_SECONDS_MAX: u64 = 120;
/// Processor time of a worker over its whole life.
pub const WORKER_CPU_SECONDS_MAX: u64 = 3_600;
/// Writable memory of a worker. Reservations that are never touched do not count.
pub const WORKER_DATA_BYTES_MAX: u64 = 2 * 1024 * MIB as u64;
/// Address space of a worker: reservations of linear memories count here.
pub const WORKER_ADDRESS_BYTES_MAX: u64 = 256 * 1024 * MIB as u64;
/// The largest file that a worker may write. It writes none but unnamed memory images.
pub const WORKER_FILE_BYTES_MAX: u64 = 512 * MIB as u64;
pub const WORKER_OPEN_FILES_MAX: u64 = 64;
/// Stack of the thread that parses: recursive descent over hostile nesting.
pub const WORKER_STACK_BYTES: usize = 256 * MIB;
/// A worker is replaced after so many requests, which bounds what leaks in it.
pub const WORKER_REQUESTS_MAX: u32 = 500;
/// What is kept of a worker's stderr, to tell why it died.
pub const WORKER_STDERR_BYTES_MAX: usize = 8 * 1024;

/// Builds that wait for a worker. Past it the last of the workspace with the most makes way for one with fewer.
pub const QUEUE_MAX: usize = 256;
/// Builds of one workspace that wait for a worker, snapshots apart; further ones are refused.
pub const WORKSPACE_QUEUE_MAX: usize = 128;
/// JSON before the body of a frame.
pub const FRAME_HEADER_BYTES_MAX: usize = 4 * MIB;
/// Body of a frame. The compiled form of the largest component fits.
pub const FRAME_BODY_BYTES_MAX: usize = 512 * MIB;
