//! The logins that Docker keeps: `config.json`, and the programs that it names.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderValue;
use serde::Deserialize;
use tokio::{io::AsyncWriteExt as _, process::Command};

use crate::files::read_settings;

/// A helper may ask its user for a password.
const HELPER_LIMIT: Duration = Duration::from_secs(60);
/// Names a token that only Docker knows how to use.
const TOKEN_USER: &str = "<token>";

/// Whom a registry knows. Nothing shows it.
#[derive(PartialEq, Eq)]
pub(super) struct Credentials {
    user: String,
    secret: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    auths: BTreeMap<String, Auth>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Deserialize)]
struct Auth {
    auth: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Helped {
    username: String,
    secret: String,
}

/// Where the credentials of a registry are.
enum Kept {
    Here(Credentials),
    /// Name of a helper.
    With(String),
    Nowhere,
}

impl Credentials {
    pub(super) fn basic(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(format!("{}:{}", self.user, self.secret)))).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// `$DOCKER_CONFIG`, or `~/.docker`.
#[expect(clippy::disallowed_methods, reason = "the one place that asks where Docker's settings are")]
pub(super) fn location() -> Option<PathBuf> {
    let named = std::env::var("DOCKER_CONFIG").ok().filter(|folder| !folder.is_empty()).map(PathBuf::from);
    named.or_else(|| std::env::home_dir().map(|home| home.join(".docker")))
}

/// What Docker's `folder` knows of a registry, whose name is as in `docker login`.
///
/// # Errors
/// What is wrong with the file, or with the helper that it names, without any of its secrets.
pub(super) async fn of(folder: Option<&Path>, registry: &str) -> Result<Option<Credentials>, String> {
    let Some(file) = folder.map(|folder| folder.join("config.json")) else { return Ok(None) };
    let text = match read_settings(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("cannot read {}: {error}", file.display())),
    };
    match kept(&text, registry).map_err(|why| format!("{}: {why}", file.display()))? {
        Kept::Here(credentials) => Ok(Some(credentials)),
        Kept::With(helper) => ask(format!("docker-credential-{helper}").into(), registry).await,
        Kept::Nowhere => Ok(None),
    }
}

fn kept(text: &str, registry: &str) -> Result<Kept, String> {
    // The parser's message might repeat a secret.
    let config: Config = serde_json::from_str(text).map_err(|error| format!("line {} is not of the form expected", error.line()))?;
    if let Some((_, helper)) = config.cred_helpers.iter().find(|(name, _)| is_same(name, registry)) {
        return helper_named(helper);
    }
    let auth = config.auths.iter().find(|(name, _)| is_same(name, registry)).and_then(|(_, entry)| entry.auth.as_deref());
    if let Some(auth) = auth.filter(|auth| !auth.is_empty()) {
        let credentials = decoded(auth).ok_or_else(|| format!("the login for {registry} is damaged; run `docker login` again"))?;
        return Ok(Kept::Here(credentials));
    }
    config.creds_store.as_deref().filter(|helper| !helper.is_empty()).map_or(Ok(Kept::Nowhere), helper_named)
}

/// It becomes part of a program's name.
fn helper_named(helper: &str) -> Result<Kept, String> {
    let is_plain = !helper.is_empty() && helper.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    if is_plain { Ok(Kept::With(helper.to_owned())) } else { Err(format!("{helper:?} is no name of a credential helper")) }
}

/// Docker writes `https://registry/v1/` or only the host.
fn is_same(name: &str, registry: &str) -> bool {
    fn plain(name: &str) -> &str {
        let name = name.strip_prefix("https://").or_else(|| name.strip_prefix("http://")).unwrap_or(name);
        let name = name.trim_end_matches('/');
        name.strip_suffix("/v1").or_else(|| name.strip_suffix("/v2")).unwrap_or(name)
    }
    plain(name).eq_ignore_ascii_case(plain(registry))
}

fn decoded(auth: &str) -> Option<Credentials> {
    let text = String::from_utf8(STANDARD.decode(auth).ok()?).ok()?;
    let (user, secret) = text.split_once(':')?;
    Some(Credentials { user: user.to_owned(), secret: secret.trim_end_matches('\0').to_owned() })
}

/// Whoever it is that a helper says; nobody if it knows nobody.
async fn ask(program: OsString, registry: &str) -> Result<Option<Credentials>, String> {
    let name = program.to_string_lossy().into_owned();
    let mut command = Command::new(program);
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| format!("Docker's config.json names {name}, which cannot be run: {error}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read has its answer already.
        let _unread = stdin.write_all(registry.as_bytes()).await;
    }
    let output = match tokio::time::timeout(HELPER_LIMIT, child.wait_with_output()).await {
        Ok(output) => output.map_err(|error| format!("{name}: {error}"))?,
        Err(_) => return Err(format!("{name} does not answer")),
    };
    heard(&name, registry, &output)
}

fn heard(name: &str, registry: &str, output: &Output) -> Result<Option<Credentials>, String> {
    if !output.status.success() {
        return Ok(None);
    }
    let helped: Helped = serde_json::from_slice(&output.stdout).map_err(|_| format!("{name} answered something else than credentials"))?;
    if helped.username == TOKEN_USER {
        let instead = "log in with a password or an access token";
        return Err(format!("{name} has a token instead of a password; {instead}: `docker login -u USER {registry}`"));
    }
    Ok(Some(Credentials { user: helped.username, secret: helped.secret }))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::process::ExitStatusExt as _, process::ExitStatus};

    use super::*;

    fn found(text: &str, registry: &str) -> String {
        match kept(text, registry) {
            Ok(Kept::Here(Credentials { user, secret })) => format!("{user} {secret}"),
            Ok(Kept::With(helper)) => format!("with {helper}"),
            Ok(Kept::Nowhere) => String::new(),
            Err(why) => format!("error: {why}"),
        }
    }

    #[test]
    fn logins_are_found_by_registry() {
        let auth = |text: &str| STANDARD.encode(text);
        let config = format!(
            r#"{{"auths": {{"r.test:5000": {{"auth": "{}"}}, "https://old.test/v1/": {{"auth": "{}"}}, "https://index.docker.io/v1/": {{"auth": "{}"}},
                "empty.test": {{}}, "bad.test": {{"auth": "!"}}, "r.test/team": {{"auth": "{}"}}}},
                "credHelpers": {{"gcr.test": "gcloud", "evil.test": "../x"}}, "HttpHeaders": {{}}, "currentContext": "x"}}"#,
            auth("ann:a:b"),
            auth("bob:s\0"),
            auth("eve:t"),
            auth("no:no")
        );
        for (registry, expected) in [
            ("r.test:5000", "ann a:b"),
            ("R.test:5000", "ann a:b"),
            ("r.test", ""),
            ("old.test", "bob s"),
            ("https://index.docker.io/v1/", "eve t"),
            ("empty.test", ""),
            ("gcr.test", "with gcloud"),
            ("none.test", ""),
        ] {
            assert_eq!(found(&config, registry), expected, "{registry}");
        }
        assert!(found(&config, "bad.test").contains("docker login"));
        assert!(found(&config, "evil.test").contains("no name of a credential helper"));
        let store = r#"{"auths": {"r.test": {}}, "credsStore": "desktop"}"#;
        assert_eq!((found(store, "r.test"), found("{}", "r.test")), ("with desktop".to_owned(), String::new()));
        let shown = found(r#"{"auths": {"r.test": "secret"}}"#, "r.test");
        assert!(shown.starts_with("error: line 1") && !shown.contains("secret"), "{shown}");
    }

    #[tokio::test]
    async fn the_file_may_be_missing_and_a_helper_may_know_nobody() {
        let folder = tempfile::tempdir().unwrap();
        assert!(of(Some(folder.path()), "r.test").await.is_ok_and(|found| found.is_none()));
        assert!(of(None, "r.test").await.is_ok_and(|found| found.is_none()));
        let config = format!(r#"{{"auths": {{"r.test": {{"auth": "{}"}}}}}}"#, STANDARD.encode("ann:x"));
        fs::write(folder.path().join("config.json"), config).unwrap();
        let basic = of(Some(folder.path()), "r.test").await.ok().flatten().and_then(|found| found.basic()).unwrap();
        assert_eq!(basic.to_str().unwrap(), format!("Basic {}", STANDARD.encode("ann:x")));
        assert!(basic.is_sensitive());

        assert!(ask("false".into(), "r.test").await.is_ok_and(|found| found.is_none()));
        assert!(ask("echo".into(), "r.test").await.is_err_and(|why| why.contains("something else")));
        assert!(ask(folder.path().join("none").into(), "r.test").await.is_err_and(|why| why.contains("cannot be run")));
    }

    #[test]
    fn what_helpers_say() {
        for (code, stdout, expected) in [
            (0, r#"{"ServerURL": "", "Username": "ann", "Secret": "x"}"#, "ann x"),
            (256, "credentials not found in native keychain", ""),
            (0, "", "something else"),
            (0, r#"{"Username": "<token>", "Secret": "x"}"#, "a token instead"),
        ] {
            let output = Output { status: ExitStatus::from_raw(code), stdout: stdout.into(), stderr: Vec::new() };
            let said = match heard("helper", "r.test", &output) {
                Ok(found) => found.map(|found| format!("{} {}", found.user, found.secret)).unwrap_or_default(),
                Err(why) => why,
            };
            assert!(said.contains(expected) && said.is_empty() == expected.is_empty(), "{stdout}: {said}");
        }
    }
}
