//! Error codes of the API: stable names, their HTTP status, and a page in `docs/errors/` for each.

use http::StatusCode;

use crate::outcome::OutcomeKind;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $status:ident, $title:literal;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name, also of its page.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }

            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

codes! {
    BadRequest = "bad_request", BAD_REQUEST, "The request could not be understood";
    InvalidJson = "invalid_json", BAD_REQUEST, "The body is not valid JSON";
    InvalidPath = "invalid_path", BAD_REQUEST, "The path is outside the grammar";
    Unauthorized = "unauthorized", UNAUTHORIZED, "A valid token is needed";
    Forbidden = "forbidden", FORBIDDEN, "The token does not allow this";
    NotFound = "not_found", NOT_FOUND, "There is no such thing here";
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "The method is not allowed here";
    Conflict = "conflict", CONFLICT, "The request conflicts with the present state";
    PayloadTooLarge = "payload_too_large", PAYLOAD_TOO_LARGE, "The body is too large";
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "The media type is not supported";
    InvalidArguments = "invalid_arguments", UNPROCESSABLE_ENTITY, "The arguments do not fit the script's schema";
    IdempotencyMismatch = "idempotency_mismatch", UNPROCESSABLE_ENTITY, "The idempotency key belongs to another request";
    InvalidResource = "invalid_resource", UNPROCESSABLE_ENTITY, "The value does not fit its resource type";
    InvalidResourceType = "invalid_resource_type", UNPROCESSABLE_ENTITY, "The resource type is not valid";
    InvalidTrigger = "invalid_trigger", UNPROCESSABLE_ENTITY, "The trigger is not valid";
    InvalidManifest = "invalid_manifest", UNPROCESSABLE_ENTITY, "The manifest is not valid";
    CompileFailed = "compile_failed", UNPROCESSABLE_ENTITY, "The source has faults";
    InvalidComponent = "invalid_component", UNPROCESSABLE_ENTITY, "The component cannot run here";
    BuildLimit = "build_limit", UNPROCESSABLE_ENTITY, "The build met its limit";
    TooManyRequests = "too_many_requests", TOO_MANY_REQUESTS, "Too many requests";
    QuotaExceeded = "quota_exceeded", TOO_MANY_REQUESTS, "A quota of the workspace is used up";
    WorkspaceArchived = "workspace_archived", CONFLICT, "The workspace is archived";
    ResultGone = "result_gone", GONE, "The result is not there any more";
    Internal = "internal", INTERNAL_SERVER_ERROR, "Something went wrong on our side";
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "No capacity at present";
    StorageFull = "storage_full", INSUFFICIENT_STORAGE, "The server cannot store anything more";
    /// The script's own error.
    RunError = "error", INTERNAL_SERVER_ERROR, "The script failed";
    Trap = "trap", INTERNAL_SERVER_ERROR, "The sandbox stopped the script";
    OutOfFuel = "out_of_fuel", INTERNAL_SERVER_ERROR, "The script used up its fuel";
    OutOfMemory = "out_of_memory", INTERNAL_SERVER_ERROR, "The script used up its memory";
    Timeout = "timeout", GATEWAY_TIMEOUT, "The script took too long";
    ResultTooLarge = "result_too_large", INTERNAL_SERVER_ERROR, "The result is too large";
    Denied = "denied", INTERNAL_SERVER_ERROR, "The script was denied a capability";
    Cancelled = "cancelled", INTERNAL_SERVER_ERROR, "The run was cancelled";
    Lost = "lost", INTERNAL_SERVER_ERROR, "The node that ran the script died";
    Poisoned = "poisoned", INTERNAL_SERVER_ERROR, "The run brought down its nodes";
    HostFault = "host_fault", INTERNAL_SERVER_ERROR, "Something went wrong on our side while the script ran";
}

impl Code {
    /// The code with which a run that ended so is answered; none for those that ended well.
    #[must_use]
    pub const fn of_outcome(kind: OutcomeKind) -> Option<Self> {
        Some(match kind {
            OutcomeKind::Ok | OutcomeKind::Skipped => return None,
            OutcomeKind::Error => Self::RunError,
            OutcomeKind::InvalidArguments => Self::InvalidArguments,
            OutcomeKind::Trap => Self::Trap,
            OutcomeKind::OutOfFuel => Self::OutOfFuel,
            OutcomeKind::OutOfMemory => Self::OutOfMemory,
            OutcomeKind::Timeout => Self::Timeout,
            OutcomeKind::ResultTooLarge => Self::ResultTooLarge,
            OutcomeKind::Denied => Self::Denied,
            OutcomeKind::Cancelled => Self::Cancelled,
            OutcomeKind::Lost => Self::Lost,
            OutcomeKind::Poisoned => Self::Poisoned,
            OutcomeKind::HostFault => Self::HostFault,
        })
    }
}

/// A refusal in terms that the client may see.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", .code.name())]
pub struct Refusal {
    pub code: Code,
    /// One or two sentences: what is wrong and what to do.
    pub detail: String,
    /// Seconds after which it may be asked again, where that is known.
    pub retry_after_s: Option<u64>,
}

impl Refusal {
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), retry_after_s: None }
    }

    /// The same, with the time at which it may be asked again.
    #[must_use]
    pub fn after_s(self, seconds: u64) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_cover_every_bad_outcome() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
        for kind in OutcomeKind::ALL {
            match Code::of_outcome(kind) {
                Some(code) => assert_eq!(code.name(), kind.name()),
                None => assert!(matches!(kind, OutcomeKind::Ok | OutcomeKind::Skipped)),
            }
        }
    }
}
