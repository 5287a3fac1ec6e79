//! Who may call a route.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{AUTHORIZATION, WWW_AUTHENTICATE},
};
use sandmill_model::{
    Code, ScriptPath,
    code::Refusal,
    idempotency,
    trigger::{Access, ConfigError, Incoming},
};

use super::{
    config,
    secret::{self, Secrets},
    signature::{Checked, Signature},
};

/// Fields that mean something else, or that are never read.
const NO_KEYS: [&str; 6] = ["connection", "content-length", "content-type", "cookie", "host", "transfer-encoding"];

pub(super) enum Auth {
    None,
    Token,
    ApiKey { header: HeaderName, keys: Secrets },
    Basic { credentials: Secrets },
    Signature(Box<Signature>),
    Script(ScriptPath),
}

impl Auth {
    pub(super) fn of(auth: config::Auth) -> Result<Self, ConfigError> {
        Ok(match auth {
            config::Auth::None {} => Self::None,
            config::Auth::Token {} => Self::Token,
            config::Auth::ApiKey(config::ApiKey { header, key, other_keys }) => {
                let header = header_name(&header, "/auth/header")?;
                if NO_KEYS.contains(&header.as_str()) {
                    return Err(ConfigError::new("/auth/header", "this field cannot carry a key"));
                }
                let keys = secret::all((&key, "/auth/key"), (&other_keys, "/auth/other_keys"))?;
                Self::ApiKey { header, keys: Secrets::of(keys.into_iter().map(str::as_bytes)) }
            }
            config::Auth::Basic(config::Basic { user, password }) => {
                if user.contains(':') {
                    return Err(ConfigError::new("/auth/user", "it has a colon, which ends the user"));
                }
                if password.is_empty() {
                    return Err(ConfigError::new("/auth/password", "it is empty"));
                }
                Self::Basic { credentials: Secrets::of([format!("{user}:{password}").as_bytes()]) }
            }
            config::Auth::Hmac(hmac) => Self::Signature(Box::new(Signature::of(*hmac)?)),
            config::Auth::Script(config::Script { path }) => {
                let path = path.parse().map_err(|_| ConfigError::new("/auth/path", "it is no path of a script"))?;
                Self::Script(path)
            }
        })
    }

    pub(super) fn access(&self) -> Access {
        match self {
            Self::Token => Access::Token,
            Self::Script(path) => Access::Script(path.clone()),
            Self::None | Self::ApiKey { .. } | Self::Basic { .. } | Self::Signature(_) => Access::Kind,
        }
    }

    /// Whether the sender asks by `HEAD` if the URL is there.
    pub(super) fn is_looked_for(&self) -> bool {
        matches!(self, Self::Signature(signature) if signature.is_looked_for())
    }

    /// What a client must know to show its credentials.
    pub(super) fn dress(&self, headers: &mut HeaderMap) {
        if matches!(self, Self::Basic { .. }) {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"sandmill\", charset=\"UTF-8\""));
        }
    }

    /// Lets genuine requests pass. Whatever says that a request is a repetition counts only of a caller who is known: a stranger could take the
    /// key of another, and swallow their event or be told their result.
    pub(super) fn check(&self, incoming: &mut Incoming) -> Result<Checked, Refusal> {
        let headers = incoming.request.headers();
        match self {
            Self::None | Self::Script(_) => Ok(Checked::default()),
            Self::Token => {
                let key = idempotency::key(headers)?;
                // Two callers may have the same key.
                let key = key.zip(incoming.caller.as_deref()).map(|(key, caller)| format!("{caller} {key}"));
                Ok(Checked { dedup_key: key, ..Checked::default() })
            }
            Self::ApiKey { header, keys } => {
                let shown = headers.get(header).ok_or_else(|| unauthorized(&format!("`{header}` with a key is missing")))?;
                if !keys.fit(shown.as_bytes()) {
                    return Err(unauthorized(&format!("the key in `{header}` is not right")));
                }
                // Nobody needs to see it any more.
                incoming.request.headers_mut().remove(header);
                keyed(incoming)
            }
            Self::Basic { credentials } => {
                let shown = headers.get(AUTHORIZATION).and_then(basic).ok_or_else(|| unauthorized("user and password are missing"))?;
                if !credentials.fit(&shown) {
                    return Err(unauthorized("user or password is not right"));
                }
                keyed(incoming)
            }
            Self::Signature(signature) => {
                // Asks whether the URL is there, which it is; nothing was signed.
                if signature.is_looked_for() && incoming.request.method() == Method::HEAD {
                    return Ok(Checked { answer: Some(super::receive::nothing()), ..Checked::default() });
                }
                signature.check(&incoming.request, incoming.now)
            }
        }
    }
}

fn keyed(incoming: &Incoming) -> Result<Checked, Refusal> {
    Ok(Checked { dedup_key: idempotency::key(incoming.request.headers())?, is_callers_key: true, ..Checked::default() })
}

/// `user:password`.
fn basic(value: &HeaderValue) -> Option<Vec<u8>> {
    let (scheme, credentials) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    STANDARD.decode(credentials.trim()).ok()
}

pub(super) fn unauthorized(why: &str) -> Refusal {
    Refusal::new(Code::Unauthorized, why)
}

pub(super) fn header_name(name: &str, pointer: &str) -> Result<HeaderName, ConfigError> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| ConfigError::new(pointer, "it is no name of a header field"))
}
