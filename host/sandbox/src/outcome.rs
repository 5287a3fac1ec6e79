//! From the way a run ended to its outcome: each kind of end is told apart, in words for the script's author.

use std::any::Any;

use sandmill_model::{JsonText, Limits, Outcome, OutcomeKind, RunError};
use wasmtime::{Trap, WasmBacktrace, component::ResourceTableError};

use crate::{call::Ended, guest::HANDLES_MAX, stop::Stop};

/// What brought a run to its end.
pub(crate) enum End {
    /// It returned.
    Returned(Ended),
    /// The engine or a host function stopped it.
    Stopped(wasmtime::Error),
    Timeout,
    Cancelled,
}

/// Kind, error and output of the outcome; usage and log are for the caller to fill in.
pub(crate) fn outcome(end: End, limits: &Limits) -> Outcome {
    match end {
        End::Returned(ended) => returned(ended, limits),
        End::Stopped(error) => stopped(&error, limits),
        End::Timeout => {
            named(OutcomeKind::Timeout, format!("the run took longer than its limit of {} ms (limits.wall_ms)", limits.wall_ms))
        }
        End::Cancelled => named(OutcomeKind::Cancelled, "the run was cancelled"),
    }
}

/// Whether fuel may have been used that the store does not know of: compiled code keeps its count in a register between calls.
pub(crate) fn lost_count_of_fuel(end: &End) -> bool {
    matches!(end, End::Stopped(error) if error.downcast_ref::<Trap>().is_some_and(|trap| *trap != Trap::OutOfFuel))
}

pub(crate) fn is_out_of_fuel(end: &End) -> bool {
    matches!(end, End::Stopped(error) if matches!(error.downcast_ref(), Some(Trap::OutOfFuel)))
}

/// The outcome of a run whose host function panicked.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Outcome {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("?"), "a host function panicked");
    Outcome::host_fault("a host function failed unexpectedly; the node's log says more")
}

fn returned(ended: Ended, limits: &Limits) -> Outcome {
    let succeeded = |kind, output| Outcome { kind, output, error: None, ..named(kind, "") };
    match ended {
        Ended::Ok(output) => succeeded(OutcomeKind::Ok, Some(output)),
        Ended::Skipped => succeeded(OutcomeKind::Skipped, None),
        Ended::Error(error) => Outcome::failed(OutcomeKind::Error, error),
        Ended::InvalidArguments(error) => Outcome::failed(OutcomeKind::InvalidArguments, error),
        Ended::ResultTooLarge { bytes } => named(
            OutcomeKind::ResultTooLarge,
            format!("the script returned {bytes} bytes; the limit is {} (limits.result_bytes)", limits.result_bytes),
        ),
    }
}

fn stopped(error: &wasmtime::Error, limits: &Limits) -> Outcome {
    if let Some(stop) = error.downcast_ref::<Stop>() {
        return match stop {
            Stop::OutOfMemory { .. } => named(OutcomeKind::OutOfMemory, stop.to_string()),
            Stop::Exit { .. } => Outcome::failed(OutcomeKind::Error, RunError::new("Exit", stop.to_string())),
            Stop::Misuse(text) => trap("misuse", text.clone(), error),
            Stop::HostFault(_) => named(OutcomeKind::HostFault, stop.to_string()),
        };
    }
    if let Some(cause) = error.downcast_ref::<Trap>() {
        return match cause {
            Trap::OutOfFuel => named(OutcomeKind::OutOfFuel, format!("the run used up its fuel of {} (limits.fuel)", limits.fuel)),
            Trap::StackOverflow => trap("stack_overflow", "the call stack is exhausted: the recursion is too deep".to_owned(), error),
            Trap::UnreachableCodeReached => {
                let message = "the script aborted (wasm `unreachable`); what it wrote to stderr, if anything, is in the log";
                trap("unreachable", message.to_owned(), error)
            }
            other => trap(code_of(*other), other.to_string(), error),
        };
    }
    if matches!(error.downcast_ref(), Some(ResourceTableError::Full)) {
        return trap("too_many_handles", format!("the script holds more than {HANDLES_MAX} streams, requests and the like at once"), error);
    }
    if is_too_much_for_the_host(error) {
        return if error.downcast_ref::<WasmBacktrace>().is_some() {
            trap("host_call_too_large", "the script passed more data to a host function than may cross at once".to_owned(), error)
        } else {
            named(
                OutcomeKind::ResultTooLarge,
                format!("the script returned more than the limit of {} bytes (limits.result_bytes)", limits.result_bytes),
            )
        };
    }
    // Left are breaches of the canonical ABI: bad pointers, text that is not UTF-8, handles that do not exist.
    trap("abi", format!("the script broke the rules of its interface: {}", error.root_cause()), error)
}

/// The engine's error for this is private to it.
fn is_too_much_for_the_host(error: &wasmtime::Error) -> bool {
    error.root_cause().to_string().contains("fuel allocated for hostcalls has been exhausted")
}

fn code_of(trap: Trap) -> &'static str {
    match trap {
        Trap::MemoryOutOfBounds | Trap::StringOutOfBounds | Trap::ListOutOfBounds => "out_of_bounds",
        Trap::TableOutOfBounds => "table_out_of_bounds",
        Trap::IndirectCallToNull => "indirect_call_to_null",
        Trap::BadSignature => "bad_signature",
        Trap::IntegerOverflow => "integer_overflow",
        Trap::IntegerDivisionByZero => "division_by_zero",
        Trap::BadConversionToInteger => "bad_conversion_to_integer",
        Trap::HeapMisaligned => "misaligned",
        Trap::CannotEnterComponent | Trap::CannotLeaveComponent => "abi",
        _ => "other",
    }
}

fn named(kind: OutcomeKind, message: impl Into<String>) -> Outcome {
    Outcome::failed(kind, RunError::new(kind.name(), message))
}

fn trap(code: &str, message: String, error: &wasmtime::Error) -> Outcome {
    let mut outcome = named(OutcomeKind::Trap, message);
    if let Some(error_of_run) = &mut outcome.error {
        error_of_run.details = Some(JsonText::trusted(format!("{{\"code\":\"{code}\"}}")));
        error_of_run.stack = error.downcast_ref::<WasmBacktrace>().and_then(stack);
    }
    outcome
}

/// One line a frame, innermost first; none if the component carries no names.
fn stack(backtrace: &WasmBacktrace) -> Option<String> {
    let names: Vec<String> = backtrace.frames().iter().filter_map(|frame| frame.func_name()).map(|name| format!("at {name}")).collect();
    (!names.is_empty()).then(|| names.join("\n"))
}
