//! What a resource of the type `http` adds to requests.

use base64::{Engine, engine::general_purpose::STANDARD};
use sandmill_capabilities::http::{CredentialsPort, HttpCredentials};
use sandmill_model::{BoxFuture, JsonText, ScriptPath, WorkspaceId};
use sandmill_store::Store;
use serde::Deserialize;

/// The type whose resources have credentials for HTTP.
const KIND: &str = "http";

/// As `host/model/src/resource_types/http.json` has it.
#[derive(Deserialize)]
struct HttpResource {
    origin: String,
    bearer: Option<String>,
    basic: Option<Basic>,
    header: Option<Named>,
    query: Option<Named>,
}

#[derive(Deserialize)]
struct Basic {
    username: String,
    password: String,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    value: String,
}

/// Credentials, in the store.
pub(crate) struct StoredCredentials(pub(crate) Store);

impl CredentialsPort for StoredCredentials {
    fn credentials(&self, workspace: WorkspaceId, path: &ScriptPath) -> BoxFuture<'_, Result<Option<HttpCredentials>, String>> {
        let path = path.clone();
        Box::pin(async move {
            let found = self.0.resources.reveal(workspace, &path).await.map_err(|error| {
                tracing::error!(%error, "credentials");
                "the database cannot be reached at present".to_owned()
            })?;
            match found.filter(|resource| &*resource.kind == KIND) {
                Some(resource) => of(&resource.value).map(Some).map_err(|fault| format!("the resource {path}: {fault}")),
                None => Ok(None),
            }
        })
    }
}

fn of(value: &JsonText) -> Result<HttpCredentials, String> {
    // The parser's own words might repeat a secret.
    let resource: HttpResource = value.read().map_err(|_| "its fields are not those of its type".to_owned())?;
    let origin = resource.origin.parse().map_err(|error| format!("`origin`: {error}"))?;
    let (mut headers, mut query) = (Vec::new(), Vec::new());
    if let Some(token) = resource.bearer {
        headers.push(("authorization".to_owned(), format!("Bearer {token}")));
    }
    if let Some(Basic { username, password }) = resource.basic {
        headers.push(("authorization".to_owned(), format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))));
    }
    headers.extend(resource.header.map(|header| (header.name.to_ascii_lowercase(), header.value)));
    query.extend(resource.query.map(|query| (query.name, query.value)));
    Ok(HttpCredentials { origin, headers, query })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_of_showing_who_asks() {
        let check = |fields: &str, headers: &[(&str, &str)], query: &[(&str, &str)]| {
            let value = JsonText::parse(format!(r#"{{"origin":"https://api.example.com"{fields}}}"#)).unwrap();
            let found = of(&value).unwrap();
            let pairs = |pairs: &[(String, String)]| pairs.iter().map(|(name, value)| (name.clone(), value.clone())).collect::<Vec<_>>();
            let owned =
                |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>();
            assert_eq!((pairs(&found.headers), pairs(&found.query)), (owned(headers), owned(query)), "{fields}");
            assert_eq!(found.origin.to_string(), "https://api.example.com");
        };
        check("", &[], &[]);
        check(r#","bearer":"t0k""#, &[("authorization", "Bearer t0k")], &[]);
        check(r#","basic":{"username":"ann","password":"pä:ss"}"#, &[("authorization", "Basic YW5uOnDDpDpzcw==")], &[]);
        check(r#","header":{"name":"X-Api-Key","value":"k"}"#, &[("x-api-key", "k")], &[]);
        check(r#","query":{"name":"key","value":"a b"}"#, &[], &[("key", "a b")]);
    }

    #[test]
    fn a_fault_does_not_repeat_the_secret() {
        let fault = of(&JsonText::parse(r#"{"origin":"ftp://x","bearer":"s3cret"}"#).unwrap()).unwrap_err();
        assert!(fault.contains("origin") && !fault.contains("s3cret"), "{fault}");
        let fault = of(&JsonText::parse(r#"{"origin":1,"bearer":"s3cret"}"#).unwrap()).unwrap_err();
        assert!(!fault.contains("s3cret"), "{fault}");
    }
}
