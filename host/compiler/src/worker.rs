//! The other end of the pipe: what `sandmill build-worker` runs.

mod closed;
mod component;
mod confine;
mod engines;
mod fused;
mod guest;
mod hosted;
mod needs;
mod rewrite;
mod serve;
mod snapshot;
mod standalone;
mod unconfined;

use std::{
    io::{self, Write as _},
    process::{self, ExitCode},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use bytes::Bytes;

#[doc(hidden)]
pub use self::unconfined::Unconfined;
use crate::{
    limits::WORKER_STACK_BYTES,
    protocol::{self, Request},
};

/// Serves requests on stdin and stdout until stdin ends. Confines this process first, so nothing else can be done with it.
#[must_use]
pub fn worker_main() -> ExitCode {
    if let Err(error) = confine::confine() {
        report(&format!("a build worker could not confine itself: {error}"));
        return ExitCode::FAILURE;
    }
    let (sender, requests) = sync_channel(1);
    let reader = thread::Builder::new().name("requests".to_owned()).spawn(move || read_requests(&sender));
    // Parsers recurse with the nesting of what they read.
    let builder = thread::Builder::new().name("build".to_owned()).stack_size(WORKER_STACK_BYTES).spawn(move || serve_all(&requests));
    match (reader, builder) {
        (Ok(_), Ok(builder)) => builder.join().unwrap_or(ExitCode::FAILURE),
        (Err(error), _) | (_, Err(error)) => {
            report(&format!("a build worker could not start its threads: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// A thread of its own, because it learns first that the parent is gone, even in the middle of a build.
fn read_requests(requests: &SyncSender<(Request, Bytes)>) {
    let mut input = io::stdin().lock();
    while let Ok(request) = protocol::read(&mut input) {
        if requests.send(request).is_err() {
            break;
        }
    }
    process::exit(0)
}

fn serve_all(requests: &Receiver<(Request, Bytes)>) -> ExitCode {
    let mut server = serve::Server::default();
    for (request, body) in requests {
        if let Err(error) = confine::renew_cpu_limit() {
            report(&format!("a build worker could not set its limit of processor time: {error}"));
            return ExitCode::FAILURE;
        }
        let (response, answer) = server.serve(&request, &body);
        if protocol::write(&mut io::stdout().lock(), &response, &answer).is_err() || server.is_broken() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// The parent logs what comes here.
fn report(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
