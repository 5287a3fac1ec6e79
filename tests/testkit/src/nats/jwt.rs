//! Operator, account and user of a server that believes JWTs, made for one test.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nkeys::KeyPair;
use serde_json::{Value, json};

use super::Login;

/// When all of them were issued: in the past.
const ISSUED_AT: u64 = 1_700_000_000;

pub struct Operator {
    operator: KeyPair,
    account: KeyPair,
}

impl Default for Operator {
    fn default() -> Self {
        Self { operator: KeyPair::new_operator(), account: KeyPair::new_account() }
    }
}

impl Operator {
    /// For the server.
    #[must_use]
    pub fn login(&self) -> Login {
        let (operator, account) = (self.operator.public_key(), self.account.public_key());
        let jwt = signed(&self.operator, &operator, "operator", &json!({"type": "operator", "version": 2}));
        let limits = json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
        });
        let account_jwt = signed(&self.operator, &account, "account", &json!({"type": "account", "version": 2, "limits": limits}));
        Login::Operator { jwt, account, account_jwt }
    }

    /// What is in the `.creds` file of a new user.
    ///
    /// # Panics
    /// If a new key has no seed.
    #[must_use]
    pub fn credentials(&self) -> String {
        let user = KeyPair::new_user();
        let claims = json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1});
        let jwt = signed(&self.account, &user.public_key(), "user", &claims);
        let seed = user.seed().expect("a new key has a seed");
        format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    }
}

/// That of a user whose seed it is.
///
/// # Errors
/// If it is no seed.
pub fn public_key(seed: &str) -> anyhow::Result<String> {
    let pair = KeyPair::from_seed(seed).map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(pair.public_key())
}

fn signed(issuer: &KeyPair, subject: &str, name: &str, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({"typ": "JWT", "alg": "ed25519-nkey"});
    let claims = json!({
        "jti": subject, "iat": ISSUED_AT, "iss": issuer.public_key(), "sub": subject, "name": name, "nats": claims,
    });
    let text = format!("{}.{}", part(&header), part(&claims));
    let signature = issuer.sign(text.as_bytes()).expect("a key with a seed signs");
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}
