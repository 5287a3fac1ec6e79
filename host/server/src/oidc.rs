//! OpenID Connect: the provider is discovered when somebody first logs in, and again from time to time; codes are exchanged, and what comes
//! of them is checked by the crate `openidconnect`.

mod transport;

use std::{collections::BTreeMap, error::Error, sync::Arc, time::Duration};

use anyhow::Context;
use openidconnect::{
    AdditionalClaims, AuthType, AuthenticationFlow, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret, CsrfToken,
    EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, IdTokenClaims, IdTokenFields, IdTokenVerifier, IssuerUrl, Nonce,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope, SignatureVerificationError, StandardErrorResponse,
    StandardTokenResponse, TokenResponse,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreClientAuthMethod, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
        CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreProviderMetadata, CoreResponseType, CoreRevocableToken,
        CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
    },
};
use sandmill_api::{Assertion, NotAsserted, Provider, Secrets};
use sandmill_model::{BoxFuture, Clock, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore};
use tokio_util::task::TaskTracker;

use transport::{Broken, Transport};

/// How long what was discovered is believed.
const FRESH: Duration = Duration::from_secs(3600);
/// How often it is looked for at most: when a key is not known, too, and whoever makes keys up must not flood the provider.
const APART: Duration = Duration::from_secs(10);
/// Codes that are exchanged at the same time.
const LOGINS_MAX: usize = 32;
/// Groups of one person, and bytes of the name of one; others are left out.
const GROUPS_MAX: usize = 1_000;
const GROUP_BYTES_MAX: usize = 512;

/// Of the provider alone: with a secret that both know either could sign.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Claims that are no standard: groups are among them.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct OtherClaims {
    #[serde(flatten)]
    all: BTreeMap<String, Value>,
}

impl AdditionalClaims for OtherClaims {}

type Claims = IdTokenClaims<OtherClaims, CoreGenderClaim>;

type Fields =
    IdTokenFields<OtherClaims, EmptyExtraTokenFields, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;

type Tokens = StandardTokenResponse<Fields, CoreTokenType>;

type TokenError = StandardErrorResponse<CoreErrorResponseType>;

/// As the crate's own `CoreClient`, with other claims, once all was discovered.
type Client = openidconnect::Client<
    OtherClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    TokenError,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Not `Debug`: it has a secret.
pub(crate) struct Config {
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    pub(crate) client_secret: Option<String>,
    pub(crate) redirect_url: String,
    /// PEM
    pub(crate) authorities: Option<Vec<u8>>,
    pub(crate) scopes: Vec<String>,
    pub(crate) groups_claim: String,
}

pub(crate) struct OpenIdConnect {
    party: Arc<Party>,
    scopes: Vec<Scope>,
    groups_claim: String,
    clock: Arc<dyn Clock>,
    /// Locked by whoever looks for it.
    found: Arc<Mutex<Found>>,
    /// Discoveries, one at a time; they end by themselves.
    tasks: TaskTracker,
    logins: Semaphore,
}

/// What we are to the provider.
struct Party {
    transport: Transport,
    issuer: IssuerUrl,
    client_id: ClientId,
    client_secret: Option<ClientSecret>,
    redirect_url: RedirectUrl,
}

/// What was discovered.
#[derive(Default)]
struct Found {
    client: Option<(Arc<Client>, Timestamp)>,
    /// When it was not to be had, and why.
    failed: Option<(Timestamp, String)>,
}

impl Party {
    /// Asks the provider, unless it could not be asked a moment ago.
    async fn look(&self, mut found: OwnedMutexGuard<Found>, clock: &dyn Clock) -> Result<Arc<Client>, NotAsserted> {
        let now = clock.now();
        let tried = found.failed.clone().filter(|(at, _)| now.since(*at) < APART);
        let why = match tried {
            Some((_, why)) => why,
            None => match self.discover().await {
                Ok(client) => {
                    let client = Arc::new(client);
                    *found = Found { client: Some((Arc::clone(&client), now)), failed: None };
                    return Ok(client);
                }
                Err(why) => {
                    tracing::warn!(issuer = self.issuer.as_str(), why, "the identity provider cannot be discovered");
                    found.failed = Some((clock.now(), why.clone()));
                    why
                }
            },
        };
        found.client.as_ref().map(|(client, _)| Arc::clone(client)).ok_or(NotAsserted::Unavailable(why))
    }

    async fn discover(&self) -> Result<Client, String> {
        let found = CoreProviderMetadata::discover_async(self.issuer.clone(), &self.transport).await;
        let metadata = found.map_err(|error| causes(&error))?;
        if metadata.token_endpoint().is_none() {
            return Err("its discovery document names no token endpoint".to_owned());
        }
        // Whoever is on the way would send people to log in somewhere else.
        if !self.transport.may_ask(metadata.authorization_endpoint().url().scheme()) {
            return Err("its authorization endpoint is not https".to_owned());
        }
        let methods = metadata.token_endpoint_auth_methods_supported();
        let takes = |method| methods.is_some_and(|methods| methods.contains(&method));
        // What every provider takes, unless it says something else.
        let only_posts = takes(CoreClientAuthMethod::ClientSecretPost) && !takes(CoreClientAuthMethod::ClientSecretBasic);
        let auth_type = if only_posts { AuthType::RequestBody } else { AuthType::BasicAuth };
        let client: Client = openidconnect::Client::from_provider_metadata(metadata, self.client_id.clone(), self.client_secret.clone());
        Ok(client.set_redirect_uri(self.redirect_url.clone()).set_auth_type(auth_type))
    }
}

impl OpenIdConnect {
    /// # Errors
    /// If a URL is none, or the authorities cannot be used.
    pub(crate) fn new(config: Config, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let Config { issuer, client_id, client_secret, redirect_url, authorities, scopes, groups_claim } = config;
        let issuer = IssuerUrl::new(issuer).context("--oidc-issuer")?;
        let party = Party {
            transport: Transport::new(issuer.url().scheme() == "http", authorities.as_deref()).context("--oidc-ca")?,
            issuer,
            client_id: ClientId::new(client_id),
            client_secret: client_secret.map(ClientSecret::new),
            redirect_url: RedirectUrl::new(redirect_url).context("--oidc-redirect-url")?,
        };
        Ok(Self {
            party: Arc::new(party),
            scopes: scopes.into_iter().map(Scope::new).collect(),
            groups_claim,
            clock,
            found: Arc::default(),
            tasks: TaskTracker::new(),
            logins: Semaphore::new(LOGINS_MAX),
        })
    }

    /// What was discovered within `believed`. What was before does, where nothing is to be had now; whoever asks meanwhile waits.
    async fn client(&self, believed: Duration) -> Result<Arc<Client>, NotAsserted> {
        let found = Arc::clone(&self.found).lock_owned().await;
        if let Some((client, at)) = &found.client
            && self.clock.now().since(*at) < believed
        {
            return Ok(Arc::clone(client));
        }
        let (party, clock) = (Arc::clone(&self.party), Arc::clone(&self.clock));
        // In a task of its own: else whoever hangs up would end it before its failure is known, and the next would ask again at once.
        let looking = self.tasks.spawn(async move { party.look(found, clock.as_ref()).await });
        looking.await.unwrap_or_else(|_| Err(NotAsserted::Unavailable("its discovery did not come to an end".to_owned())))
    }

    async fn begin(&self, secrets: Secrets) -> Result<String, NotAsserted> {
        let client = self.client(FRESH).await?;
        let Secrets { state, nonce, verifier } = secrets;
        let request = client.authorize_url(
            AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
            move || CsrfToken::new(state),
            move || Nonce::new(nonce),
        );
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(verifier));
        let (url, ..) = request.add_scopes(self.scopes.iter().cloned()).set_pkce_challenge(challenge).url();
        Ok(url.to_string())
    }

    async fn finish(&self, code: String, secrets: Secrets) -> Result<Assertion, NotAsserted> {
        let _permit = self.logins.try_acquire().map_err(|_| NotAsserted::Busy)?;
        let client = self.client(FRESH).await?;
        let Secrets { state: _, nonce, verifier } = secrets;
        let request = client.exchange_code(AuthorizationCode::new(code));
        let request = request.map_err(|error| NotAsserted::Unavailable(error.to_string()))?;
        let answer = request.set_pkce_verifier(PkceCodeVerifier::new(verifier)).request_async(&self.party.transport).await;
        let answer: Tokens = answer.map_err(|error| not_exchanged(&error))?;
        let none = || NotAsserted::Unavailable("it gives no ID token: is the client allowed the scope `openid`?".to_owned());
        let token = answer.id_token().ok_or_else(none)?;
        let nonce = Nonce::new(nonce);
        let mut checked = token.claims(&verifier_of(&client), &nonce);
        if let Err(ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey)) = checked {
            // The provider has other keys since.
            let client = self.client(APART).await?;
            checked = token.claims(&verifier_of(&client), &nonce);
        }
        let claims = checked.map_err(|error| {
            tracing::warn!(error = causes(&error), "an ID token does not hold");
            not_held(&error)
        })?;
        Ok(self.assertion(claims))
    }

    fn assertion(&self, claims: &Claims) -> Assertion {
        let is_verified = claims.email_verified() == Some(true);
        Assertion {
            subject: claims.subject().as_str().to_owned(),
            email: claims.email().filter(|_| is_verified).map(|email| email.as_str().to_owned()),
            username: claims.preferred_username().map(|name| name.as_str().to_owned()),
            display_name: claims.name().and_then(|name| name.get(None)).map(|name| name.as_str().to_owned()),
            groups: claims.additional_claims().all.get(&self.groups_claim).map(groups),
        }
    }
}

/// One name, or a list of them.
fn groups(claim: &Value) -> Vec<String> {
    let all = match claim {
        Value::Array(all) => all.as_slice(),
        one => std::slice::from_ref(one),
    };
    let names = all.iter().filter_map(Value::as_str).filter(|name| name.len() <= GROUP_BYTES_MAX);
    names.take(GROUPS_MAX).map(str::to_owned).collect()
}

fn verifier_of(client: &Client) -> IdTokenVerifier<'_, CoreJsonWebKey> {
    client.id_token_verifier().set_allowed_algs(ALGORITHMS)
}

fn not_exchanged(error: &RequestTokenError<Broken, TokenError>) -> NotAsserted {
    match error {
        RequestTokenError::ServerResponse(answer) if *answer.error() == CoreErrorResponseType::InvalidGrant => NotAsserted::Refused(
            "the identity provider does not take the code: it was used already, is too old, or is of another login".to_owned(),
        ),
        RequestTokenError::ServerResponse(answer) => {
            let error = answer.error().as_ref();
            NotAsserted::Unavailable(format!(
                "it refuses the exchange of a code ({error}): are --oidc-client-id, its secret and its URL right?"
            ))
        }
        // Its text might have a part of a token.
        RequestTokenError::Parse(error, _) => NotAsserted::Unavailable(format!("its tokens have an unexpected form at `{}`", error.path())),
        RequestTokenError::Request(error) => NotAsserted::Unavailable(error.to_string()),
        RequestTokenError::Other(text) => NotAsserted::Unavailable(text.clone()),
    }
}

/// For whoever logs in; the log has the details.
fn not_held(error: &ClaimsVerificationError) -> NotAsserted {
    let why = match error {
        ClaimsVerificationError::Expired(_) => "has expired: the clocks of both may differ",
        ClaimsVerificationError::InvalidAudience(_) => "is meant for another client",
        ClaimsVerificationError::InvalidIssuer(_) => "is of another issuer",
        ClaimsVerificationError::InvalidNonce(_) => "is of another login",
        ClaimsVerificationError::SignatureVerification(_) => "is not signed as it should be",
        _ => "cannot be understood",
    };
    NotAsserted::Refused(format!("what the identity provider says of you {why}"))
}

/// An error and what is behind it.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

impl Provider for OpenIdConnect {
    fn issuer(&self) -> Arc<str> {
        self.party.issuer.as_str().into()
    }

    fn begin(&self, secrets: Secrets) -> BoxFuture<'_, Result<String, NotAsserted>> {
        Box::pin(self.begin(secrets))
    }

    fn finish(&self, code: String, secrets: Secrets) -> BoxFuture<'_, Result<Assertion, NotAsserted>> {
        Box::pin(self.finish(code, secrets))
    }
}

#[cfg(test)]
mod tests {
    use sandmill_model::SystemClock;
    use serde_json::json;
    use tokio::{net::TcpListener, sync::mpsc, task::JoinSet};

    use super::*;

    #[tokio::test]
    async fn whoever_hangs_up_does_not_have_the_provider_asked_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let (sender, mut asked) = mpsc::channel(8);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                sender.send(connection).await.unwrap();
            }
        });
        let config = Config {
            issuer,
            client_id: "test".to_owned(),
            client_secret: None,
            redirect_url: "https://sandmill.test/callback".to_owned(),
            authorities: None,
            scopes: Vec::new(),
            groups_claim: "groups".to_owned(),
        };
        let provider = OpenIdConnect::new(config, SystemClock::shared()).unwrap();
        let begin = || {
            let secrets = Secrets { state: "state".to_owned(), nonce: "nonce".to_owned(), verifier: "v".repeat(64) };
            provider.begin(secrets)
        };
        // It does not answer, and whoever asked goes away.
        let connection = tokio::select! {
            _ = begin() => panic!("the provider has said nothing"),
            connection = asked.recv() => connection.unwrap(),
        };
        for _ in 0..3 {
            assert!(tokio::time::timeout(Duration::from_millis(20), begin()).await.is_err());
        }
        drop(connection);
        for _ in 0..3 {
            assert!(matches!(begin().await, Err(NotAsserted::Unavailable(_))));
        }
        assert!(asked.try_recv().is_err(), "it was asked once");
    }

    #[test]
    fn groups_are_few_and_short() {
        assert_eq!(groups(&json!(["a", 1, null, "b", "x".repeat(513)])), ["a", "b"]);
        assert_eq!(groups(&json!("a")), ["a"]);
        assert!(groups(&json!({"a": 1})).is_empty());
        assert_eq!(groups(&json!(vec!["a"; 2_000])).len(), GROUPS_MAX);
    }
}
