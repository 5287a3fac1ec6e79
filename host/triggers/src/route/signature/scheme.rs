//! How somebody signs: where the signature is, what is signed, how time and delivery are told.

use http::HeaderName;
use sandmill_model::trigger::ConfigError;

use super::{
    challenge::Challenge,
    config::{Algorithm, Custom, Encoding, Preset, SecretForm, TimeForm},
};
use crate::route::auth::header_name;

/// Bytes of the text that says what is signed.
const SIGNED_BYTES_MAX: usize = 512;

pub(super) struct Scheme {
    pub(super) header: HeaderName,
    pub(super) layout: Layout,
    pub(super) algorithm: Algorithm,
    pub(super) encoding: Encoding,
    pub(super) signed: Signed,
    pub(super) time: Option<Time>,
    /// Where the id is that the sender gives each delivery, and again when it sends it again.
    pub(super) delivery: Option<Delivery>,
    pub(super) challenge: Option<Challenge>,
    pub(super) secret_form: SecretForm,
    /// What the secret may begin with, and which is no part of it.
    pub(super) secret_prefix: &'static str,
}

/// What is in the field of the signature.
pub(super) enum Layout {
    /// It alone, behind this.
    Whole(String),
    /// `t=TIME,v1=SIGNATURE,…`, with this name of the signature.
    Pairs(&'static str),
    /// `v1,SIGNATURE v1,SIGNATURE`, with this version.
    Versions(&'static str),
}

pub(super) enum Signed {
    Parts(Vec<Part>),
    /// The URL that was called, and what is in the form.
    UrlAndForm,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Body,
    /// As they were sent.
    Timestamp,
    Id,
    Method,
    Url,
}

pub(super) struct Time {
    /// None: it is the `t` of the field of the signature.
    pub(super) header: Option<HeaderName>,
    pub(super) form: TimeForm,
    /// Seconds.
    pub(super) window_s: u32,
}

pub(super) enum Delivery {
    Header(HeaderName),
    /// A text member of the body, which is a JSON object.
    Member(&'static str),
}

/// Seconds that what was signed is believed.
const WINDOW_S: u32 = 300;

impl Scheme {
    /// SHA-256 of the body, in hexadecimal: what most have in common.
    fn plain(header: &'static str, prefix: &str) -> Self {
        Self {
            header: HeaderName::from_static(header),
            layout: Layout::Whole(prefix.to_owned()),
            algorithm: Algorithm::Sha256,
            encoding: Encoding::Hex,
            signed: Signed::Parts(vec![Part::Body]),
            time: None,
            delivery: None,
            challenge: None,
            secret_form: SecretForm::Text,
            secret_prefix: "",
        }
    }

    /// The time is in a field of its own, or beside the signature.
    fn timed(self, header: Option<&'static str>, signed: Vec<Part>) -> Self {
        let time = Time { header: header.map(HeaderName::from_static), form: TimeForm::Seconds, window_s: WINDOW_S };
        Self { time: Some(time), signed: Signed::Parts(signed), ..self }
    }

    fn delivered(self, header: &'static str) -> Self {
        Self { delivery: Some(Delivery::Header(HeaderName::from_static(header))), ..self }
    }

    /// As the providers document it; the tests name where.
    pub(super) fn preset(preset: Preset) -> Self {
        use Part::{Body, Id, Timestamp};
        let text = |text: &str| Part::Text(text.to_owned());
        let of_v0 = || vec![text("v0:"), Timestamp, text(":"), Body];
        let of_time = || vec![Timestamp, text("."), Body];
        match preset {
            Preset::Github => Self::plain("x-hub-signature-256", "sha256=").delivered("x-github-delivery"),
            Preset::Stripe => Self {
                layout: Layout::Pairs("v1"),
                delivery: Some(Delivery::Member("id")),
                ..Self::plain("stripe-signature", "").timed(None, of_time())
            },
            Preset::Slack => Self {
                delivery: Some(Delivery::Member("event_id")),
                challenge: Some(Challenge::Slack),
                ..Self::plain("x-slack-signature", "v0=").timed(Some("x-slack-request-timestamp"), of_v0())
            },
            Preset::Shopify => {
                Self { encoding: Encoding::Base64, ..Self::plain("x-shopify-hmac-sha256", "").delivered("x-shopify-webhook-id") }
            }
            Preset::Twilio => Self::of_url("x-twilio-signature").delivered("i-twilio-idempotency-token"),
            Preset::Twitch => {
                let scheme = Self::plain("twitch-eventsub-message-signature", "sha256=").delivered("twitch-eventsub-message-id");
                let header = Some(HeaderName::from_static("twitch-eventsub-message-timestamp"));
                // Its documentation asks for ten minutes.
                let time = Some(Time { header, form: TimeForm::Rfc3339, window_s: 2 * WINDOW_S });
                Self { time, signed: Signed::Parts(vec![Id, Timestamp, Body]), challenge: Some(Challenge::Twitch), ..scheme }
            }
            Preset::Zoom => Self {
                challenge: Some(Challenge::Zoom),
                ..Self::plain("x-zm-signature", "v0=").timed(Some("x-zm-request-timestamp"), of_v0())
            },
            Preset::Tiktok => Self { layout: Layout::Pairs("s"), ..Self::plain("tiktok-signature", "").timed(None, of_time()) },
            Preset::Mandrill => Self { challenge: Some(Challenge::Looked), ..Self::of_url("x-mandrill-signature") },
            Preset::StandardWebhooks => {
                let signed = vec![Id, text("."), Timestamp, text("."), Body];
                let scheme = Self::plain("webhook-signature", "").timed(Some("webhook-timestamp"), signed).delivered("webhook-id");
                let (layout, encoding) = (Layout::Versions("v1"), Encoding::Base64);
                Self { layout, encoding, secret_form: SecretForm::Base64, secret_prefix: "whsec_", ..scheme }
            }
        }
    }

    fn of_url(header: &'static str) -> Self {
        Self { algorithm: Algorithm::Sha1, encoding: Encoding::Base64, signed: Signed::UrlAndForm, ..Self::plain(header, "") }
    }

    pub(super) fn custom(custom: Custom) -> Result<Self, ConfigError> {
        let Custom { header, prefix, algorithm, encoding, signed, timestamp_header, timestamp, id_header, secret_form } = custom;
        let named = |name: Option<String>, pointer: &str| name.map(|name| header_name(&name, pointer)).transpose();
        let header = header_name(&header, "/auth/custom/header")?;
        let time = named(timestamp_header, "/auth/custom/timestamp_header")?;
        let delivery = named(id_header, "/auth/custom/id_header")?;
        let signed = parts(&signed)?;
        let fault = |why: &str| Err(ConfigError::new("/auth/custom/signed", why));
        if !signed.contains(&Part::Body) {
            return fault("`{body}` is missing: anybody could send another");
        }
        if signed.contains(&Part::Timestamp) != time.is_some() {
            return fault("`{timestamp}` and `timestamp_header` go together: a time that is not signed says nothing");
        }
        if signed.contains(&Part::Id) && delivery.is_none() {
            return fault("`{id}` needs `id_header`");
        }
        Ok(Self {
            header,
            layout: Layout::Whole(prefix),
            algorithm,
            encoding,
            signed: Signed::Parts(signed),
            time: time.map(|header| Time { header: Some(header), form: timestamp, window_s: WINDOW_S }),
            delivery: delivery.map(Delivery::Header),
            challenge: None,
            secret_form,
            secret_prefix: "",
        })
    }
}

/// `v0:{timestamp}:{body}`.
fn parts(text: &str) -> Result<Vec<Part>, ConfigError> {
    let fault = |why: &str| ConfigError::new("/auth/custom/signed", why);
    if text.len() > SIGNED_BYTES_MAX {
        return Err(fault(&format!("it has at most {SIGNED_BYTES_MAX} bytes")));
    }
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('{') {
        let (name, after) = behind.split_once('}').ok_or_else(|| fault("a `{` has no `}`"))?;
        if !before.is_empty() {
            parts.push(Part::Text(before.to_owned()));
        }
        parts.push(match name {
            "body" => Part::Body,
            "timestamp" => Part::Timestamp,
            "id" => Part::Id,
            "method" => Part::Method,
            "url" => Part::Url,
            _ => return Err(fault("there are `{body}`, `{timestamp}`, `{id}`, `{method}` and `{url}`")),
        });
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(parts)
}
