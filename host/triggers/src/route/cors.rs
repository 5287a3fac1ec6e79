//! Pages of other sites that may call a route, as the Fetch standard has browsers ask.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode, Uri,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ORIGIN, VARY,
    },
};
use sandmill_model::trigger::ConfigError;

use super::{auth::header_name, config};

/// Origins, and names of header fields, of one route.
const NAMES_MAX: usize = 64;
/// The longest time that any browser believes a preflight.
const MAX_AGE_MAX_S: u32 = 24 * 3600;

enum Origins {
    All,
    These(Vec<HeaderValue>),
}

pub(super) struct Cors {
    origins: Origins,
    methods: HeaderValue,
    headers: Option<HeaderValue>,
    expose: Option<HeaderValue>,
    max_age: HeaderValue,
}

impl Cors {
    pub(super) fn of(cors: config::Cors, methods: &[Method]) -> Result<Self, ConfigError> {
        let config::Cors { origins, headers, expose, max_age_s } = cors;
        if max_age_s > MAX_AGE_MAX_S {
            return Err(ConfigError::new("/cors/max_age_s", format!("it is at most {MAX_AGE_MAX_S}")));
        }
        let methods: Vec<&str> = methods.iter().map(Method::as_str).collect();
        Ok(Self {
            origins: Origins::of(&origins)?,
            methods: value(&methods.join(", "), "/methods")?,
            headers: names(&headers, "/cors/headers")?,
            expose: names(&expose, "/cors/expose")?,
            max_age: HeaderValue::from(max_age_s),
        })
    }

    /// What a browser asks before it sends a request.
    pub(super) fn preflight(&self, asked: &HeaderMap) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        let origin = asked.get(ORIGIN);
        self.dress(origin, headers);
        // Another page learns nothing of the route.
        if origin.is_some_and(|origin| self.origins.allowed(origin).is_some()) {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
            headers.insert(ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
            if let Some(names) = &self.headers {
                headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
            }
        }
        response
    }

    /// Twice is as once.
    pub(super) fn dress(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        if matches!(self.origins, Origins::These(_)) && !varies(headers) {
            // Caches must not give one page the answer to another.
            headers.append(VARY, HeaderValue::from_static("origin"));
        }
        // What a script says of it does not count: the route's config does.
        for said in [ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_EXPOSE_HEADERS] {
            headers.remove(said);
        }
        let Some(allowed) = origin.and_then(|origin| self.origins.allowed(origin)) else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        if let Some(names) = &self.expose {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, names.clone());
        }
    }
}

impl Origins {
    fn of(origins: &[String]) -> Result<Self, ConfigError> {
        if origins.is_empty() || origins.len() > NAMES_MAX {
            return Err(ConfigError::new("/cors/origins", format!("there are 1 to {NAMES_MAX}")));
        }
        if origins == ["*"] {
            return Ok(Self::All);
        }
        let origin = |(at, text): (usize, &String)| {
            let pointer = format!("/cors/origins/{at}");
            if !is_origin(text) {
                return Err(ConfigError::new(pointer, "an origin is like `https://app.example.com`, in lower case; `*` stands alone"));
            }
            value(text, &pointer)
        };
        Ok(Self::These(origins.iter().enumerate().map(origin).collect::<Result<_, _>>()?))
    }

    /// As it is told.
    fn allowed(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        match self {
            Self::All => Some(HeaderValue::from_static("*")),
            Self::These(origins) => origins.iter().find(|known| *known == origin).cloned(),
        }
    }
}

/// Scheme, host and perhaps a port, as browsers write it. `null` is none: any sandboxed page has it.
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let is_plain = !authority.is_empty() && !authority.contains(['/', '?', '#', '@', '*']) && text == text.to_ascii_lowercase();
    matches!(scheme, "http" | "https") && is_plain && text.parse::<Uri>().is_ok_and(|uri| uri.host().is_some_and(|host| !host.is_empty()))
}

fn varies(headers: &HeaderMap) -> bool {
    headers.get_all(VARY).iter().any(|value| value.as_bytes().eq_ignore_ascii_case(b"origin"))
}

fn names(names: &[String], pointer: &str) -> Result<Option<HeaderValue>, ConfigError> {
    if names.len() > NAMES_MAX {
        return Err(ConfigError::new(pointer, format!("there are at most {NAMES_MAX}")));
    }
    for (at, name) in names.iter().enumerate() {
        header_name(name, &format!("{pointer}/{at}"))?;
    }
    if names.is_empty() { Ok(None) } else { value(&names.join(", "), pointer).map(Some) }
}

fn value(text: &str, pointer: &str) -> Result<HeaderValue, ConfigError> {
    HeaderValue::from_str(text).map_err(|_| ConfigError::new(pointer, "it has characters that no header field has"))
}
