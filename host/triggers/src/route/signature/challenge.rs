//! Requests by which a provider finds out whether a URL is whose it should be. They start no run, and are answered only once their signature was
//! checked: what Zoom wants to see is made with the secret, and whoever could choose what it is made of could sign whatever they like.

use std::borrow::Cow;

use bytes::Bytes;
use http::{Request, Response};
use serde::{Deserialize, Serialize};

use super::{config::Algorithm, mac};
use crate::route::receive::answer;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Challenge {
    Slack,
    Twitch,
    Zoom,
    /// The URL is looked for by `HEAD`, which nobody signs.
    Looked,
}

#[derive(Deserialize)]
struct OfSlack<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    challenge: Cow<'a, str>,
}

#[derive(Deserialize)]
struct OfTwitch<'a> {
    #[serde(borrow)]
    challenge: Cow<'a, str>,
}

#[derive(Deserialize)]
struct OfZoom<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow)]
    payload: OfZoomPayload<'a>,
}

#[derive(Deserialize)]
struct OfZoomPayload<'a> {
    #[serde(rename = "plainToken", borrow)]
    plain_token: Cow<'a, str>,
}

#[derive(Serialize)]
struct ToZoom<'a> {
    #[serde(rename = "plainToken")]
    plain_token: &'a str,
    #[serde(rename = "encryptedToken")]
    encrypted_token: String,
}

impl Challenge {
    /// None: it is an event. `key` is the one that the request was signed with.
    pub(super) fn answer(self, request: &Request<Bytes>, key: &[u8]) -> Option<Response<Bytes>> {
        let body = request.body();
        match self {
            Self::Slack => {
                let asked: OfSlack<'_> = serde_json::from_slice(body).ok()?;
                (asked.kind == "url_verification").then(|| answer("text/plain", asked.challenge.into_owned()))
            }
            Self::Twitch => {
                let kind = request.headers().get("twitch-eventsub-message-type")?;
                if kind != "webhook_callback_verification" {
                    return None;
                }
                let asked: OfTwitch<'_> = serde_json::from_slice(body).ok()?;
                Some(answer("text/plain", asked.challenge.into_owned()))
            }
            Self::Zoom => {
                let asked: OfZoom<'_> = serde_json::from_slice(body).ok()?;
                if asked.event != "endpoint.url_validation" {
                    return None;
                }
                let plain_token = &*asked.payload.plain_token;
                let encrypted_token = mac::hex(&mac::tag(Algorithm::Sha256, key, &[plain_token.as_bytes()])?);
                let text = serde_json::to_vec(&ToZoom { plain_token, encrypted_token }).ok()?;
                Some(answer("application/json", text))
            }
            Self::Looked => None,
        }
    }
}
