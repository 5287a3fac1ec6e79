//! Who we are to a server: the one line in which all ways to log in meet.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nkeys::KeyPair;
use serde_json::{Map, Value, json};

use super::Fault;
use crate::nats::config::Connection;

/// What follows `CONNECT`. `nonce` is the server's challenge, which a key signs.
pub(super) fn connect(connection: &Connection, nonce: &str, needs_tls: bool) -> Result<String, Fault> {
    let mut said = Map::new();
    for (name, value) in [
        ("verbose", json!(false)),
        ("pedantic", json!(false)),
        ("tls_required", json!(needs_tls)),
        ("name", json!("sandmill")),
        ("lang", json!("rust")),
        ("version", json!(env!("CARGO_PKG_VERSION"))),
        ("protocol", json!(1)),
        ("echo", json!(true)),
        ("headers", json!(true)),
        ("no_responders", json!(true)),
    ] {
        said.insert(name.to_owned(), value);
    }
    let mut say = |name: &str, value: &str| {
        said.insert(name.to_owned(), Value::from(value));
    };
    if let (Some(user), Some(password)) = (&connection.user, &connection.password) {
        say("user", user);
        say("pass", password);
    }
    if let Some(token) = &connection.token {
        say("auth_token", token);
    }
    if let Some(seed) = &connection.nkey_seed {
        let (key, signature) = sign(seed.trim(), nonce).ok_or_else(|| Fault::Config("`nkey_seed` is no seed of an nkey".to_owned()))?;
        say("nkey", &key);
        say("sig", &signature);
    }
    if let Some(credentials) = &connection.credentials {
        let fault = || Fault::Config("`credentials` is not what is in a `.creds` file".to_owned());
        let mut decorated = decorated(credentials);
        let (jwt, seed) = (decorated.next().ok_or_else(fault)?, decorated.next().ok_or_else(fault)?);
        let (_, signature) = sign(seed, nonce).ok_or_else(fault)?;
        say("jwt", jwt);
        say("sig", &signature);
    }
    Ok(Value::Object(said).to_string())
}

/// The public key, and the signature.
fn sign(seed: &str, nonce: &str) -> Option<(String, String)> {
    let pair = KeyPair::from_seed(seed).ok()?;
    let signature = pair.sign(nonce.as_bytes()).ok()?;
    Some((pair.public_key(), URL_SAFE_NO_PAD.encode(signature)))
}

/// What is between lines of dashes: a JWT, then a seed.
fn decorated(credentials: &str) -> impl Iterator<Item = &str> {
    let mut is_inside = false;
    credentials.lines().map(str::trim).filter(move |line| {
        if line.starts_with("---") {
            is_inside = line.contains("BEGIN");
            return false;
        }
        is_inside && !line.is_empty()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(connection: Value) -> Result<Value, Fault> {
        let mut whole = json!({"servers": ["nats://a"]});
        whole.as_object_mut().unwrap().extend(connection.as_object().unwrap().clone());
        connect(&serde_json::from_value(whole).unwrap(), "nonce", false).map(|text| serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn each_way_to_log_in() {
        let user = said(json!({"user": "u", "password": "p\"\r\n"})).unwrap();
        assert_eq!((&user["user"], &user["pass"], &user["auth_token"]), (&json!("u"), &json!("p\"\r\n"), &Value::Null));
        assert_eq!(said(json!({"token": "t"})).unwrap()["auth_token"], "t");
        let pair = KeyPair::new_user();
        let seed = pair.seed().unwrap();
        let keyed = said(json!({"nkey_seed": format!(" {seed}\n")})).unwrap();
        assert_eq!(keyed["nkey"], json!(pair.public_key()));
        let signature = URL_SAFE_NO_PAD.decode(keyed["sig"].as_str().unwrap()).unwrap();
        assert!(pair.verify(b"nonce", &signature).is_ok());
        let file = format!(
            "-----BEGIN NATS USER JWT-----\nheader.claims.sig\n------END NATS USER JWT------\n\n***** IMPORTANT *****\nnever share\n\n-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        let credited = said(json!({"credentials": file.replace('\n', "\r\n")})).unwrap();
        assert_eq!(credited["jwt"], "header.claims.sig");
        let signature = URL_SAFE_NO_PAD.decode(credited["sig"].as_str().unwrap()).unwrap();
        assert!(pair.verify(b"nonce", &signature).is_ok());
    }

    #[test]
    fn a_line_stays_one_line() {
        let text = connect(&serde_json::from_value(json!({"servers": ["a"], "token": "a\r\nPUB x 0\r\n"})).unwrap(), "", false).unwrap();
        assert!(!text.contains('\n') && !text.contains('\r'), "{text}");
    }

    #[test]
    fn what_is_wrong_is_told_without_showing_it() {
        for wrong in
            [json!({"nkey_seed": "SUhunter2"}), json!({"credentials": "hunter2"}), json!({"credentials": "---BEGIN\nhunter2\n---END\n"})]
        {
            let fault = said(wrong).unwrap_err().to_string();
            assert!(!fault.contains("hunter2"), "{fault}");
        }
    }
}
