//! What the operator says about single sign-on.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use clap::{ArgAction, Args};
use openidconnect::url::Url;
use sandmill_api::{GroupRole, SingleSignOn};
use sandmill_model::{SystemClock, role::Role};

use crate::oidc::{Config, OpenIdConnect};

/// Where the identity provider sends browsers back to.
const CALLBACK: &str = "/api/auth/oidc/callback";
/// Roles of groups.
const ROLES_MAX: usize = 1_000;
/// Bytes of a file with a client secret, or with authorities.
const SECRET_BYTES_MAX: u64 = 4 * 1024;
const AUTHORITIES_BYTES_MAX: u64 = 1024 * 1024;

#[derive(Clone, Debug, Args)]
pub(crate) struct OidcOptions {
    /// Let people log in by OpenID Connect: the issuer, as its discovery document and its ID tokens name it, e.g. `https://id.example.org`.
    #[arg(long, env = "SANDMILL_OIDC_ISSUER", requires_all = ["oidc_client_id", "oidc_redirect_url"], value_parser = issuer)]
    pub(crate) oidc_issuer: Option<String>,
    /// What the issuer calls this server.
    #[arg(long, env = "SANDMILL_OIDC_CLIENT_ID", requires = "oidc_issuer")]
    pub(crate) oidc_client_id: Option<String>,
    /// File with the client secret; without one this server is a public client, known by PKCE alone.
    #[arg(long, env = "SANDMILL_OIDC_CLIENT_SECRET_FILE", requires = "oidc_issuer")]
    pub(crate) oidc_client_secret_file: Option<PathBuf>,
    /// Where browsers reach this server, with the path /api/auth/oidc/callback, as the issuer has it registered.
    #[arg(long, env = "SANDMILL_OIDC_REDIRECT_URL", requires = "oidc_issuer", value_parser = redirect_url)]
    pub(crate) oidc_redirect_url: Option<String>,
    /// PEM file with authorities that are trusted beside Mozilla's when the issuer is asked.
    #[arg(long, env = "SANDMILL_OIDC_CA", requires = "oidc_issuer")]
    pub(crate) oidc_ca: Option<PathBuf>,
    /// Scopes that are asked for beside `openid`, separated by commas.
    #[arg(long, env = "SANDMILL_OIDC_SCOPES", value_delimiter = ',', default_value = "profile,email")]
    pub(crate) oidc_scopes: Vec<String>,
    /// Claim of the ID token with the names of groups.
    #[arg(long, env = "SANDMILL_OIDC_GROUPS_CLAIM", default_value = "groups")]
    pub(crate) oidc_groups_claim: String,
    /// Role of a group's members in a workspace, as GROUP=WORKSPACE:ROLE. May be given more than once, or be a list with semicolons. From
    /// then on a login also takes people out of workspaces that their groups brought them into.
    #[arg(long, env = "SANDMILL_OIDC_ROLE", requires = "oidc_issuer", value_delimiter = ';', value_parser = group_role)]
    pub(crate) oidc_role: Vec<GroupRole>,
    /// Make a user of whomever the issuer knows. Without it instance admins link users (`sandmill users change NAME --oidc-subject`).
    #[arg(
        long,
        env = "SANDMILL_OIDC_ALLOW_SIGNUP",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value_t = false,
        default_missing_value = "true"
    )]
    pub(crate) oidc_allow_signup: bool,
}

impl OidcOptions {
    /// None: people log in with passwords alone. Nobody is asked anything before somebody logs in.
    ///
    /// # Errors
    /// If a file cannot be read, or there are too many roles.
    pub(crate) fn single_sign_on(&self) -> anyhow::Result<Option<SingleSignOn>> {
        let (Some(issuer), Some(client_id), Some(redirect_url)) = (&self.oidc_issuer, &self.oidc_client_id, &self.oidc_redirect_url) else {
            return Ok(None);
        };
        anyhow::ensure!(self.oidc_role.len() <= ROLES_MAX, "--oidc-role can be given {ROLES_MAX} times at most");
        let secret = |file: &PathBuf| read(file, SECRET_BYTES_MAX, "--oidc-client-secret-file");
        let client_secret = match self.oidc_client_secret_file.as_ref().map(secret).transpose()? {
            Some(text) => {
                let text = text.trim();
                anyhow::ensure!(!text.is_empty(), "--oidc-client-secret-file: the file is empty");
                Some(text.to_owned())
            }
            None => None,
        };
        let authorities = self.oidc_ca.as_ref().map(|file| read(file, AUTHORITIES_BYTES_MAX, "--oidc-ca")).transpose()?;
        let config = Config {
            issuer: issuer.clone(),
            client_id: client_id.clone(),
            client_secret,
            redirect_url: redirect_url.clone(),
            authorities: authorities.map(String::into_bytes),
            scopes: self.oidc_scopes.iter().map(|scope| scope.trim().to_owned()).filter(|scope| !scope.is_empty()).collect(),
            groups_claim: self.oidc_groups_claim.clone(),
        };
        let provider = OpenIdConnect::new(config, Arc::new(SystemClock))?;
        Ok(Some(SingleSignOn { provider: Arc::new(provider), allows_signup: self.oidc_allow_signup, roles: self.oidc_role.clone() }))
    }
}

fn read(file: &Path, bytes_max: u64, option: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = File::open(file).and_then(|open| open.take(bytes_max + 1).read_to_string(&mut text));
    read.with_context(|| format!("{option} {} cannot be read", file.display()))?;
    anyhow::ensure!(text.len() as u64 <= bytes_max, "{option} {} has more than {bytes_max} bytes", file.display());
    Ok(text)
}

/// Whether whoever is on the way can read along.
fn is_private(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")))
}

/// As it was written: it is compared with what ID tokens say.
fn issuer(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|error| format!("it is no URL: {error}"))?;
    if !is_private(&url) {
        return Err("an issuer is asked by https; by http only on this machine".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        return Err("an issuer has neither a query nor a fragment nor a user".to_owned());
    }
    Ok(text.to_owned())
}

fn redirect_url(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|error| format!("it is no URL: {error}"))?;
    if !is_private(&url) {
        return Err("browsers keep the cookies of a login only by https, or at localhost".to_owned());
    }
    if url.path() != CALLBACK || url.query().is_some() || url.fragment().is_some() {
        return Err(format!("it ends with {CALLBACK}"));
    }
    Ok(text.to_owned())
}

fn group_role(text: &str) -> Result<GroupRole, String> {
    // Names of groups may have nearly any character; those of workspaces and roles have not.
    let parts = text.rsplit_once('=').and_then(|(group, rest)| Some((group, rest.split_once(':')?)));
    let Some((group, (workspace, role))) = parts else { return Err("it is written GROUP=WORKSPACE:ROLE".to_owned()) };
    let role = Role::from_name(role).ok_or_else(|| "a role is admin, developer, operator or viewer".to_owned())?;
    if group.is_empty() || workspace.is_empty() {
        return Err("the group or the workspace is missing".to_owned());
    }
    Ok(GroupRole { group: group.to_owned(), workspace: workspace.into(), role })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Options {
        #[command(flatten)]
        oidc: OidcOptions,
    }

    const ALL: [&str; 6] = [
        "--oidc-issuer",
        "https://id.test",
        "--oidc-client-id",
        "sandmill",
        "--oidc-redirect-url",
        "https://sandmill.test/api/auth/oidc/callback",
    ];

    fn parsed(more: &[&str]) -> Result<OidcOptions, clap::Error> {
        Options::try_parse_from(["x"].iter().chain(&ALL).chain(more)).map(|options| options.oidc)
    }

    #[test]
    fn all_that_is_needed_is_asked_for() {
        let none = Options::try_parse_from(["x"]).unwrap().oidc;
        assert!(none.single_sign_on().unwrap().is_none() && none.oidc_scopes == ["profile", "email"] && !none.oidc_allow_signup);
        assert!(Options::try_parse_from(["x"].iter().chain(&ALL[..4])).is_err());
        assert!(Options::try_parse_from(["x"].iter().chain(&ALL[2..])).is_err());
        let found = parsed(&["--oidc-allow-signup", "--oidc-role", "cn=devs,o=x=one:developer"]).unwrap();
        let role = GroupRole { group: "cn=devs,o=x".to_owned(), workspace: "one".into(), role: Role::Developer };
        assert_eq!((found.oidc_allow_signup, &found.oidc_role[..]), (true, &[role][..]));
        assert!(parsed(&[]).unwrap().single_sign_on().unwrap().is_some(), "nobody is asked anything yet");
        assert!(!parsed(&["--oidc-allow-signup=false"]).unwrap().oidc_allow_signup);
        for bad in ["devs", "devs=one", "devs=one:king", "=one:admin", "devs=:admin"] {
            assert!(parsed(&["--oidc-role", bad]).is_err(), "{bad}");
        }
        let missing = parsed(&["--oidc-client-secret-file", "/no/such/file"]).unwrap().single_sign_on();
        assert!(missing.err().unwrap().to_string().contains("/no/such/file"));
    }

    #[test]
    fn nobody_is_asked_in_the_open() {
        for (text, is_fine) in [
            ("https://id.test/realms/a", true),
            ("http://127.0.0.1:1234", true),
            ("http://localhost", true),
            ("http://id.test", false),
            ("http://localhost.evil.test", false),
            ("ftp://id.test", false),
            ("https://id.test?a=b", false),
            ("https://a@id.test", false),
            ("id.test", false),
        ] {
            assert_eq!(issuer(text).is_ok(), is_fine, "{text}");
        }
        for bad in
            ["http://sandmill.test/api/auth/oidc/callback", "https://sandmill.test/", "https://sandmill.test/api/auth/oidc/callback?a"]
        {
            assert!(redirect_url(bad).is_err(), "{bad}");
        }
    }
}
