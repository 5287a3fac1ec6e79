//! Settings of signatures.

use schemars::JsonSchema;
use serde::Deserialize;

/// A signature made with a secret that both sides have: that of a provider (`preset`), or one of another form (`custom`).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::route) struct Hmac {
    pub(super) preset: Option<Preset>,
    pub(super) custom: Option<Custom>,
    /// Best `"$var:PATH"`, so that it is kept sealed.
    pub(super) secret: String,
    /// Others that are as good, while the secret is changed. At most three.
    #[serde(default)]
    pub(super) other_secrets: Vec<String>,
    /// How far the time that was signed may be from now, either way, in seconds: 300 where nothing is said, for Twitch 600. Only where a time is signed.
    pub(super) replay_window_s: Option<u32>,
    /// Twilio and Mandrill sign the URL that they call. Up to the host (`https://hooks.example.com`) if the path is that of the request; with the path where
    /// a proxy changes it. Without a query, which is that of the request.
    pub(super) public_url: Option<String>,
}

/// How a provider signs.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[cfg_attr(test, derive(Debug))]
#[serde(rename_all = "snake_case")]
pub(in crate::route) enum Preset {
    Github,
    Stripe,
    /// Its `url_verification` is answered.
    Slack,
    Shopify,
    /// Needs `public_url`.
    Twilio,
    /// Its `webhook_callback_verification` is answered.
    Twitch,
    /// Its `endpoint.url_validation` is answered.
    Zoom,
    Tiktok,
    /// Needs `public_url`. `HEAD`, by which it looks for the URL, is answered.
    Mandrill,
    /// <https://www.standardwebhooks.com>, with a symmetric secret (`whsec_…`).
    StandardWebhooks,
}

/// How somebody else signs.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::route) struct Custom {
    /// Field with the signature.
    pub(super) header: String,
    /// What stands before the signature in it, such as `sha256=`.
    #[serde(default)]
    pub(super) prefix: String,
    #[serde(default)]
    pub(super) algorithm: Algorithm,
    #[serde(default)]
    pub(super) encoding: Encoding,
    /// What is signed: text with `{body}`, and perhaps `{timestamp}`, `{id}`, `{method}` and `{url}` (path and query, as they were sent) in it.
    #[serde(default = "body")]
    pub(super) signed: String,
    /// Field with the time, which is `{timestamp}`.
    pub(super) timestamp_header: Option<String>,
    #[serde(default)]
    pub(super) timestamp: TimeForm,
    /// Field with the id of the delivery, which is `{id}`: by it a repetition is known.
    pub(super) id_header: Option<String>,
    /// How the secret is written.
    #[serde(default)]
    pub(super) secret_form: SecretForm,
}

fn body() -> String {
    "{body}".to_owned()
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::route) enum Algorithm {
    #[default]
    Sha256,
    Sha512,
    /// Only for whom has nothing better.
    Sha1,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::route) enum Encoding {
    #[default]
    Hex,
    Base64,
}

/// Since 1970, or as RFC 3339 writes it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::route) enum TimeForm {
    #[default]
    Seconds,
    Milliseconds,
    Rfc3339,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::route) enum SecretForm {
    /// Its characters are the key.
    #[default]
    Text,
    Hex,
    Base64,
}
