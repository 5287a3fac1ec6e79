//! Signatures of requests: whether one is right, how old it is, and which delivery it is of.

mod challenge;
pub(super) mod config;
mod form;
mod mac;
mod scheme;

use std::{borrow::Cow, fmt, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response};
use sandmill_model::{Timestamp, code::Refusal, idempotency::KEY_CHARACTERS_MAX, trigger::ConfigError};
use serde::{
    Deserializer as _,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use self::{
    challenge::Challenge,
    config::{Hmac, TimeForm},
    form::PublicUrl,
    scheme::{Delivery, Layout, Part, Scheme, Signed, Time},
};
use super::{auth::unauthorized, secret};

/// Signatures in one header field: one for each secret while they are changed.
const SIGNATURES_MAX: usize = 8;
/// The longest window.
const WINDOW_MAX_S: u32 = 24 * 3600;

/// What a genuine request is.
#[derive(Default)]
pub(super) struct Checked {
    /// By it a repetition is known.
    pub(super) dedup_key: Option<String>,
    /// See [`NewEvent`](sandmill_model::trigger::NewEvent).
    pub(super) is_callers_key: bool,
    pub(super) occurred_at: Option<Timestamp>,
    /// It is a challenge, no event.
    pub(super) answer: Option<Response<Bytes>>,
}

pub(super) struct Signature {
    scheme: Scheme,
    keys: Vec<Vec<u8>>,
    url: Option<PublicUrl>,
}

/// What the header fields of one request say.
struct Shown<'r> {
    /// Those that can be read.
    signatures: Vec<Vec<u8>>,
    time: Option<&'r str>,
    id: Option<&'r str>,
}

impl Signature {
    pub(super) fn of(hmac: Hmac) -> Result<Self, ConfigError> {
        let Hmac { preset, custom, secret, other_secrets, replay_window_s, public_url } = hmac;
        let mut scheme = match (preset, custom) {
            (Some(preset), None) => Scheme::preset(preset),
            (None, Some(custom)) => Scheme::custom(custom)?,
            _ => return Err(ConfigError::new("/auth", "there is either `preset` or `custom`")),
        };
        let signs_url = matches!(scheme.signed, Signed::UrlAndForm);
        if signs_url != public_url.is_some() {
            let why = if signs_url { "the URL is signed: say which the provider was given" } else { "the URL is not signed" };
            return Err(ConfigError::new("/auth/public_url", why));
        }
        if let Some(window_s) = replay_window_s {
            let Some(time) = &mut scheme.time else {
                return Err(ConfigError::new("/auth/replay_window_s", "no time is signed"));
            };
            if !(1..=WINDOW_MAX_S).contains(&window_s) {
                return Err(ConfigError::new("/auth/replay_window_s", format!("it is from 1 to {WINDOW_MAX_S}")));
            }
            time.window_s = window_s;
        }
        let secrets = secret::all((&secret, "/auth/secret"), (&other_secrets, "/auth/other_secrets"))?;
        let key = |secret: &str| {
            let secret = secret.strip_prefix(scheme.secret_prefix).unwrap_or(secret);
            mac::key(scheme.secret_form, secret).filter(|key| !key.is_empty())
        };
        let keys = secrets.into_iter().map(key).collect::<Option<Vec<_>>>();
        let keys = keys.ok_or_else(|| ConfigError::new("/auth/secret", "a secret is not written as this signature needs it"))?;
        let url = public_url.as_deref().map(PublicUrl::of).transpose()?;
        Ok(Self { scheme, keys, url })
    }

    /// Field in which the signature is.
    pub(super) fn header(&self) -> &HeaderName {
        &self.scheme.header
    }

    /// Whether the sender asks by `HEAD` if the URL is there.
    pub(super) fn is_looked_for(&self) -> bool {
        self.scheme.challenge == Some(Challenge::Looked)
    }

    /// The time counts only once it is known to be the sender's, and so does the id of the delivery.
    pub(super) fn check(&self, request: &Request<Bytes>, now: Timestamp) -> Result<Checked, Refusal> {
        let shown = self.shown(request.headers())?;
        let message = self.message(request, &shown)?;
        let parts: Vec<&[u8]> = message.iter().map(|part| &**part).collect();
        let key = self.key_of(&parts, &shown.signatures).ok_or_else(|| unauthorized("the signature is not right"))?;
        let occurred_at = self.scheme.time.as_ref().map(|time| in_time(time, shown.time, now)).transpose()?;
        let answer = self.scheme.challenge.and_then(|challenge| challenge.answer(request, key));
        let dedup_key = self.delivery(request, &shown).filter(|id| !id.is_empty() && id.len() <= KEY_CHARACTERS_MAX);
        Ok(Checked { dedup_key, is_callers_key: false, occurred_at, answer })
    }

    /// The key with which it was signed. Each key reads the message once, however many signatures there are.
    fn key_of(&self, parts: &[&[u8]], signatures: &[Vec<u8>]) -> Option<&[u8]> {
        let fits = |key: &&Vec<u8>| {
            let right = mac::tag(self.scheme.algorithm, key, parts);
            right.is_some_and(|right| signatures.iter().any(|shown| mac::are_equal(&right, shown)))
        };
        self.keys.iter().find(fits).map(Vec::as_slice)
    }

    fn shown<'r>(&self, headers: &'r HeaderMap) -> Result<Shown<'r>, Refusal> {
        let Scheme { header, layout, encoding, time, delivery, .. } = &self.scheme;
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let field = text(header).ok_or_else(|| unauthorized(&format!("it is not signed: `{header}` is missing")))?;
        let read = |signature: &str| mac::decode(*encoding, signature);
        let (signatures, time_beside): (Vec<_>, _) = match layout {
            Layout::Whole(prefix) => (field.strip_prefix(prefix.as_str()).and_then(read).into_iter().collect(), None),
            Layout::Pairs(name) => {
                let pairs = || field.split(',').filter_map(|pair| pair.trim().split_once('='));
                let signatures = pairs().filter(|(key, _)| key == name).take(SIGNATURES_MAX).filter_map(|(_, value)| read(value));
                (signatures.collect(), pairs().find(|(key, _)| *key == "t").map(|(_, value)| value))
            }
            Layout::Versions(version) => {
                let each = field.split(' ').filter_map(|each| each.split_once(','));
                let signatures = each.filter(|(key, _)| key == version).take(SIGNATURES_MAX).filter_map(|(_, value)| read(value));
                (signatures.collect(), None)
            }
        };
        let time = match time {
            Some(Time { header: Some(header), .. }) => text(header),
            Some(Time { header: None, .. }) => time_beside,
            None => None,
        };
        let id = match delivery {
            Some(Delivery::Header(header)) => text(header),
            Some(Delivery::Member(_)) | None => None,
        };
        Ok(Shown { signatures, time, id })
    }

    fn message<'r>(&'r self, request: &'r Request<Bytes>, shown: &Shown<'r>) -> Result<Vec<Cow<'r, [u8]>>, Refusal> {
        let parts = match (&self.scheme.signed, &self.url) {
            (Signed::Parts(parts), _) => parts,
            (Signed::UrlAndForm, Some(url)) => return Ok(vec![form::message(url, request)?.into()]),
            (Signed::UrlAndForm, None) => return Err(unauthorized("the URL is signed, and nobody knows it")),
        };
        let missing = |what: &str| unauthorized(&format!("the {what} that was signed is missing"));
        let bytes = |part: &'r Part| -> Result<Cow<'r, [u8]>, Refusal> {
            Ok(Cow::Borrowed(match part {
                Part::Text(text) => text.as_bytes(),
                Part::Body => &request.body()[..],
                Part::Timestamp => shown.time.ok_or_else(|| missing("time"))?.as_bytes(),
                Part::Id => shown.id.ok_or_else(|| missing("id"))?.as_bytes(),
                Part::Method => request.method().as_str().as_bytes(),
                Part::Url => {
                    let uri = request.uri();
                    uri.path_and_query().map_or(uri.path(), http::uri::PathAndQuery::as_str).as_bytes()
                }
            }))
        };
        parts.iter().map(bytes).collect()
    }

    fn delivery(&self, request: &Request<Bytes>, shown: &Shown<'_>) -> Option<String> {
        match self.scheme.delivery.as_ref()? {
            Delivery::Header(_) => shown.id.map(str::to_owned),
            Delivery::Member(name) => member(request.body(), name),
        }
    }
}

/// A text member of the object that `body` is. The others are passed over: a map of them could take many times what they do.
fn member(body: &[u8], name: &str) -> Option<String> {
    struct Named<'n>(&'n str);

    impl<'de> Visitor<'de> for Named<'_> {
        type Value = Option<&'de RawValue>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
            let mut found = None;
            while let Some((name, value)) = members.next_entry::<String, &'de RawValue>()? {
                if name == self.0 {
                    found = Some(value);
                }
            }
            Ok(found)
        }
    }

    let found = serde_json::Deserializer::from_slice(body).deserialize_map(Named(name)).ok()??;
    serde_json::from_str(found.get()).ok()
}

/// When it was signed, if that is near enough.
fn in_time(time: &Time, shown: Option<&str>, now: Timestamp) -> Result<Timestamp, Refusal> {
    let at = shown.and_then(|text| read_time(time.form, text)).ok_or_else(|| unauthorized("the time that was signed cannot be read"))?;
    let away = if at > now { at.since(now) } else { now.since(at) };
    if away > Duration::from_secs(time.window_s.into()) {
        let why = format!("the signature is right, but was made more than {} s from now: it may be a copy", time.window_s);
        return Err(unauthorized(&why));
    }
    Ok(at)
}

fn read_time(form: TimeForm, text: &str) -> Option<Timestamp> {
    let micros_each: i64 = match form {
        TimeForm::Rfc3339 => return text.parse().ok(),
        TimeForm::Seconds => 1_000_000,
        TimeForm::Milliseconds => 1_000,
    };
    text.parse::<i64>().ok()?.checked_mul(micros_each).map(Timestamp::from_micros)
}

#[cfg(test)]
mod tests;
