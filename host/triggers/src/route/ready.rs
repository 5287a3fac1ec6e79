//! A config that was checked, in the form in which requests use it.

use std::time::Duration;

use http::Method;
use sandmill_model::trigger::{ConfigError, EndpointKey, Pattern, Reply};

use super::{
    auth::Auth,
    config::{Answer, Config, Taken},
    cors::Cors,
};

/// The longest time that a config may ask for; the server's own limit is less.
const WAIT_MAX: Duration = Duration::from_secs(24 * 3600);

pub(crate) struct Ready {
    /// Those that start runs.
    pub(super) methods: Vec<Method>,
    pub(super) pattern: Pattern,
    pub(super) auth: Auth,
    pub(super) reply: Reply,
    pub(super) wait_max: Option<Duration>,
    pub(super) cors: Option<Cors>,
}

impl Ready {
    pub(super) fn of(config: Config) -> Result<Self, ConfigError> {
        let Config { methods, path, auth, reply, wait_ms, cors } = config;
        let wait_max = wait_ms.map(Duration::from_millis);
        if wait_max.is_some_and(|wait| wait.is_zero() || wait > WAIT_MAX) {
            return Err(ConfigError::new("/wait_ms", format!("it is from 1 to {}", WAIT_MAX.as_millis())));
        }
        let pattern = path.parse::<Pattern>().map_err(|error| ConfigError::new("/path", error.to_string()))?;
        let methods = methods_of(&methods)?;
        let cors = cors.map(|cors| Cors::of(cors, &methods)).transpose()?;
        let reply = match reply {
            Answer::Sync => Reply::Result,
            Answer::Async => Reply::Receipt,
            Answer::Stream => Reply::Events,
            Answer::Raw => Reply::Raw,
        };
        Ok(Self { methods, pattern, auth: Auth::of(auth)?, reply, wait_max, cors })
    }

    pub(super) fn keys(&self) -> Vec<EndpointKey> {
        // Who only asks whether the URL is there comes by another method than the deliveries do.
        let asked = self.auth.is_looked_for().then_some(Method::GET).filter(|method| !self.methods.contains(method));
        let methods = self.methods.iter().cloned().chain(asked);
        methods.map(|method| EndpointKey::Route { method, pattern: self.pattern.clone() }).collect()
    }
}

fn methods_of(taken: &[Taken]) -> Result<Vec<Method>, ConfigError> {
    let mut methods = Vec::new();
    for (at, taken) in taken.iter().enumerate() {
        let method = match taken {
            Taken::Get => Method::GET,
            Taken::Post => Method::POST,
            Taken::Put => Method::PUT,
            Taken::Patch => Method::PATCH,
            Taken::Delete => Method::DELETE,
        };
        if methods.contains(&method) {
            return Err(ConfigError::new(format!("/methods/{at}"), format!("{method} is there twice")));
        }
        methods.push(method);
    }
    if methods.is_empty() {
        return Err(ConfigError::new("/methods", "a route takes at least one method"));
    }
    Ok(methods)
}
