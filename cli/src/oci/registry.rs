//! One repository of a registry, as whoever pulls sees it.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use reqwest::Url;
use sandmill_model::Digest;
use serde::Deserialize;

use super::{
    Access, PlainHttp,
    challenge::{self, Challenge},
    credentials::{self, Credentials},
    fault::{self, Login},
    manifest::{self, Descriptor, Document},
    reference::{Reference, Version},
    transport::{Answer, Broken, Get, Transport},
};
use crate::error::CliError;

const MANIFEST_BYTES_MAX: u64 = 4 * 1024 * 1024;
const TOKEN_BYTES_MAX: u64 = 1024 * 1024;
/// Characters of what a registry says about its refusal.
const REASON_CHARACTERS_MAX: usize = 300;
/// Where Docker's own registry answers, and what its login is called.
const DOCKER: [&str; 2] = ["docker.io", "index.docker.io"];
const DOCKER_HOST: &str = "registry-1.docker.io";
const DOCKER_LOGIN: &str = "https://index.docker.io/v1/";

pub(super) struct Registry<'a> {
    reference: &'a Reference,
    access: &'a Access,
    transport: Transport,
    /// `https://registry.example.com/v2/team/hello/`
    base: Url,
    authorization: Option<HeaderValue>,
    login: Login,
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

#[derive(Deserialize)]
struct Tags {
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Refusal {
    errors: Vec<Reason>,
}

#[derive(Deserialize)]
struct Reason {
    #[serde(default)]
    message: String,
}

impl<'a> Registry<'a> {
    pub(super) fn new(reference: &'a Reference, access: &'a Access) -> Result<Self, CliError> {
        let is_plain = access.plain != PlainHttp::Local || reference.is_local();
        let scheme = if is_plain { "http" } else { "https" };
        let is_docker = DOCKER.contains(&reference.registry.as_str());
        let host = if is_docker { DOCKER_HOST } else { &reference.registry };
        let url = format!("{scheme}://{host}/v2/{}/", repository(reference));
        let base = Url::parse(&url).map_err(|error| fault::strange(reference, &format!("{url} is no address: {error}")))?;
        let transport = Transport::new(access.plain).map_err(|why| fault::unreachable(reference, &why))?;
        Ok(Self { reference, access, transport, base, authorization: None, login: Login::None })
    }

    /// What is at a tag or a digest, and its digest.
    pub(super) async fn manifest(&mut self, version: &Version) -> Result<(Digest, Document), CliError> {
        let answer = match self.get(&format!("manifests/{version}"), manifest::ACCEPT, MANIFEST_BYTES_MAX).await {
            Err(Broken::TooLarge) => {
                return Err(fault::strange(self.reference, &format!("its manifest has more than {MANIFEST_BYTES_MAX} bytes")));
            }
            answer => self.answered(answer)?,
        };
        if answer.status == StatusCode::NOT_FOUND {
            let tags = self.tags().await;
            return Err(fault::missing(self.reference, version, tags.as_deref()));
        }
        let answer = self.good(answer)?;
        let digest = Digest::of(&answer.body);
        let announced = answer.headers.get("docker-content-digest").and_then(|value| value.to_str().ok()?.parse().ok());
        let expected = match version {
            Version::Digest(expected) => Some(*expected),
            Version::Tag(_) => announced,
        };
        if expected.is_some_and(|expected| expected != digest) {
            return Err(fault::strange(self.reference, "the registry sent a manifest that does not have the digest that it should"));
        }
        let document = serde_json::from_slice(&answer.body)
            .map_err(|error| fault::strange(self.reference, &format!("its manifest is not of the form expected: {error}")))?;
        Ok((digest, document))
    }

    /// The bytes that a manifest tells of.
    pub(super) async fn blob(&mut self, layer: &Descriptor) -> Result<Vec<u8>, CliError> {
        let strange = |why: &str| fault::strange(self.reference, why);
        let wrong = strange("the registry sent something else than what the manifest tells of; nothing was deployed");
        let answer = match self.get(&format!("blobs/{}", layer.digest), "*/*", layer.size).await {
            Err(Broken::TooLarge) => return Err(wrong),
            answer => self.answered(answer)?,
        };
        let body = self.good(answer)?.body;
        if body.len() as u64 != layer.size || Digest::of(&body) != layer.digest {
            return Err(wrong);
        }
        Ok(body)
    }

    /// None if the registry does not tell.
    async fn tags(&mut self) -> Option<Vec<String>> {
        let answer = self.get("tags/list", "application/json", MANIFEST_BYTES_MAX).await.ok()?;
        let tags: Tags = serde_json::from_slice(&answer.body).ok().filter(|_| answer.status.is_success())?;
        let is_whole = |tag: &String| tag.len() <= 128;
        Some(tags.tags.unwrap_or_default().into_iter().filter(is_whole).collect())
    }

    fn answered(&self, answer: Result<Answer, Broken>) -> Result<Answer, CliError> {
        answer.map_err(|broken| match broken {
            Broken::TooLarge => fault::unreachable(self.reference, "the answer is longer than expected"),
            Broken::For(why) => fault::unreachable(self.reference, &why),
        })
    }

    fn good(&self, answer: Answer) -> Result<Answer, CliError> {
        let is_login = matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        if answer.status.is_success() {
            Ok(answer)
        } else if is_login && answer.url.origin() == self.base.origin() {
            Err(fault::unauthorized(self.reference, self.login))
        } else {
            Err(fault::unreachable(self.reference, &format!("the registry answered {}{}", answer.status, reason(&answer.body))))
        }
    }

    /// Logs in when the registry asks for it.
    async fn get(&mut self, rest: &str, accept: &str, bytes_max: u64) -> Result<Answer, Broken> {
        let url = self.base.join(rest).map_err(|error| Broken::For(error.to_string()))?;
        let get = |authorization: Option<HeaderValue>| Get { url: url.clone(), accept, authorization, bytes_max };
        let answer = self.transport.get(get(self.authorization.clone())).await?;
        // Whoever it redirected to may not ask who we are.
        let is_asked = answer.status == StatusCode::UNAUTHORIZED && answer.url.origin() == self.base.origin();
        if !is_asked || self.authorization.is_some() {
            return Ok(answer);
        }
        match self.log_in(&answer.headers).await? {
            Some(authorization) => {
                self.authorization = Some(authorization);
                self.transport.get(get(self.authorization.clone())).await
            }
            None => Ok(answer),
        }
    }

    /// None without a login that the registry would want.
    async fn log_in(&mut self, headers: &HeaderMap) -> Result<Option<HeaderValue>, Broken> {
        let wishes = headers.get_all(header::WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let Some(challenge) = challenge::parse(wishes) else {
            return Err(Broken::For("the registry wants a login of an unknown kind".to_owned()));
        };
        let name = if DOCKER.contains(&self.reference.registry.as_str()) { DOCKER_LOGIN } else { &self.reference.registry };
        let credentials = credentials::of(self.access.docker.as_deref(), name).await.map_err(Broken::For)?;
        if credentials.is_some() {
            self.transport.check_login(&self.base)?;
            self.login = Login::Refused;
        }
        match challenge {
            Challenge::Basic => Ok(credentials.as_ref().and_then(Credentials::basic)),
            Challenge::Bearer { realm, service } => self.token(&realm, service.as_deref(), credentials.as_ref()).await,
        }
    }

    /// The scope is ours to say: a registry could ask for the right to write, or for somebody else's repository.
    async fn token(&self, realm: &str, service: Option<&str>, credentials: Option<&Credentials>) -> Result<Option<HeaderValue>, Broken> {
        let mut url = Url::parse(realm).map_err(|error| Broken::For(format!("the registry sends for a token to {realm:?}: {error}")))?;
        self.transport.check_step(&self.base, &url)?;
        if let Some(service) = service {
            url.query_pairs_mut().append_pair("service", service);
        }
        url.query_pairs_mut().append_pair("scope", &format!("repository:{}:pull", repository(self.reference)));
        let authorization = credentials.and_then(Credentials::basic);
        let get = Get { url, accept: "application/json", authorization, bytes_max: TOKEN_BYTES_MAX };
        let answer = match self.transport.get(get).await {
            Err(Broken::TooLarge) => return Err(Broken::For("the token is too long".to_owned())),
            answer => answer?,
        };
        if matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Ok(None);
        }
        if !answer.status.is_success() {
            return Err(Broken::For(format!("who gives tokens answered {}{}", answer.status, reason(&answer.body))));
        }
        let token: Option<Token> = serde_json::from_slice(&answer.body).ok();
        let token = token.and_then(|token| token.token.or(token.access_token));
        let header = token.and_then(|token| HeaderValue::from_str(&format!("Bearer {token}")).ok());
        let mut header = header.ok_or_else(|| Broken::For("who gives tokens gave none".to_owned()))?;
        header.set_sensitive(credentials.is_some());
        Ok(Some(header))
    }
}

/// On Docker's registry a name without a slash is one of its library.
fn repository(reference: &Reference) -> String {
    let is_library = DOCKER.contains(&reference.registry.as_str()) && !reference.repository.contains('/');
    if is_library { format!("library/{}", reference.repository) } else { reference.repository.clone() }
}

/// `: what the registry says`
fn reason(body: &[u8]) -> String {
    let refusal: Option<Refusal> = serde_json::from_slice(body).ok();
    let reason = refusal.and_then(|refusal| refusal.errors.into_iter().next()).map(|reason| reason.message).unwrap_or_default();
    if reason.is_empty() { String::new() } else { format!(": {}", reason.chars().take(REASON_CHARACTERS_MAX).collect::<String>()) }
}
