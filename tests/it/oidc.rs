//! Single sign-on with a real identity provider: `oidc-provider` of npm, in `tests/oidc`.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::{Client, Method, Response, Url, redirect::Policy};
use sandmill_testkit::{
    binary::{binary, root},
    postgres::Postgres,
    process::{mortal, spawn},
    server::{Answer, Server},
    toolchain::is_here,
};
use serde_json::{Value, json};
use sha2::Digest as _;
use tempfile::TempDir;

use crate::shared::{Database, on_both};

on_both![
    people_log_in_by_the_word_of_a_provider,
    groups_say_who_is_in_a_workspace,
    whoever_is_not_linked_stays_out,
    a_login_is_of_one_browser_and_is_good_once,
    a_command_is_logged_in_through_a_browser,
    an_id_token_of_another_client_is_no_good,
    a_provider_that_is_away_is_told_of,
];

/// As `provider.mjs` has it registered. Nothing is there: what a browser would send there is sent to the server that is tested.
const REDIRECT: &str = "https://sandmill.test/api/auth/oidc/callback";
/// Steps of a login.
const STEPS_MAX: usize = 10;

/// What the lock file names, installed once for all tests; none where there is no npm.
fn packages() -> Option<&'static Path> {
    static PACKAGES: OnceLock<Option<TempDir>> = OnceLock::new();
    let install = || {
        if !is_here("npm", &["--version"]) || !is_here("node", &["--version"]) {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        for file in ["package.json", "package-lock.json", "provider.mjs"] {
            fs::copy(root().join("tests/oidc").join(file), folder.path().join(file)).unwrap();
        }
        let arguments = ["ci", "--no-audit", "--no-fund", "--loglevel=error"];
        let output = Command::new("npm").args(arguments).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "npm ci: {}", String::from_utf8_lossy(&output.stderr));
        Some(folder)
    };
    PACKAGES.get_or_init(install).as_ref().map(TempDir::path)
}

/// A provider, gone when this is dropped.
struct Provider {
    child: Child,
    issuer: String,
    secret: TempDir,
}

impl Provider {
    fn start() -> Option<Self> {
        let folder = packages()?;
        let mut command = mortal("node".as_ref());
        command.arg("provider.mjs").current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = spawn(command).unwrap();
        let mut issuer = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut issuer).unwrap();
        assert!(issuer.starts_with("http://127.0.0.1:"), "the provider does not start: {issuer:?}");
        let secret = tempfile::tempdir().unwrap();
        fs::write(secret.path().join("secret"), "sandmill-secret-sandmill-secret\n").unwrap();
        Some(Self { child, issuer: issuer.trim().to_owned(), secret })
    }

    /// A server that believes it.
    fn server(&self, database: Database, more: &[&str]) -> Option<Server> {
        let own = self.options();
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        database.start(&[&own[..], more].concat())
    }

    /// Those by which a server believes it.
    fn options(&self) -> Vec<String> {
        let file = self.secret.path().join("secret");
        let secret = file.to_str().unwrap();
        let own = ["--oidc-issuer", self.issuer.as_str(), "--oidc-client-id", "sandmill", "--oidc-client-secret-file", secret];
        own.into_iter().chain(["--oidc-redirect-url", REDIRECT]).map(str::to_owned).collect()
    }

    /// What it says from now on.
    async fn says(&self, change: Value) {
        let answer = Client::new().post(format!("{}/test", self.issuer)).body(change.to_string()).send().await.unwrap();
        assert!(answer.status().is_success());
    }

    /// Logs `account` in where a login leads, and gives what the provider sends back with: `code=…&state=…`.
    async fn logs_in(&self, account: &str, mut place: Url) -> String {
        let client = client();
        let mut cookies = BTreeMap::new();
        for _ in 0..STEPS_MAX {
            let request = client.get(place.clone()).header("x-test-account", account).header("cookie", shown(&cookies));
            let answer = request.send().await.unwrap();
            take(&mut cookies, &answer);
            let next = answer.headers().get("location").map(|next| next.to_str().unwrap().to_owned());
            let Some(next) = next else { panic!("{place}: {}", answer.text().await.unwrap()) };
            place = place.join(&next).unwrap();
            if place.as_str().starts_with(REDIRECT) {
                return place.query().unwrap().to_owned();
            }
        }
        panic!("the provider goes on and on: {place}")
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn client() -> Client {
    Client::builder().redirect(Policy::none()).build().unwrap()
}

fn shown(cookies: &BTreeMap<String, String>) -> String {
    cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
}

/// Keeps what an answer sets.
fn take(cookies: &mut BTreeMap<String, String>, answer: &Response) {
    for set in answer.headers().get_all("set-cookie") {
        let (name, value) = set.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
        if value.is_empty() {
            cookies.remove(name);
        } else {
            cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}

/// Of a person.
struct Browser<'a> {
    server: &'a Server,
    cookies: BTreeMap<String, String>,
}

impl<'a> Browser<'a> {
    fn new(server: &'a Server) -> Self {
        Self { server, cookies: BTreeMap::new() }
    }

    /// As a browser sends it that comes from another site.
    async fn gets(&mut self, path: &str) -> Answer {
        let request = client().get(format!("{}{path}", self.server.url)).header("sec-fetch-site", "cross-site");
        let answer = request.header("cookie", shown(&self.cookies)).send().await.unwrap();
        take(&mut self.cookies, &answer);
        Answer::read(answer).await.unwrap()
    }

    /// Where a login leads.
    async fn begins(&mut self) -> Url {
        let begun = self.gets("/api/auth/oidc/start?return_to=/runs?path=f/a").await;
        assert_eq!(begun.status, 303, "{begun:?}");
        begun.header("location").unwrap().parse().unwrap()
    }

    async fn comes_back(&mut self, query: &str) -> Answer {
        self.gets(&format!("/api/auth/oidc/callback?{query}")).await
    }

    async fn logs_in(&mut self, provider: &Provider, account: &str) -> Answer {
        let place = self.begins().await;
        let query = provider.logs_in(account, place).await;
        self.comes_back(&query).await
    }

    async fn me(&mut self) -> Value {
        let me = self.gets("/api/auth/me").await;
        assert_eq!(me.status, 200, "{me:?}");
        me.json().unwrap()
    }
}

fn detail(answer: &Answer) -> String {
    answer.json().unwrap()["detail"].as_str().unwrap().to_owned()
}

async fn admin(server: &Server, method: Method, path: &str, body: Value) -> Answer {
    Answer::read(server.request(method, path).json(&body).send().await.unwrap()).await.unwrap()
}

async fn people_log_in_by_the_word_of_a_provider(database: Database) {
    let Some(provider) = Provider::start() else { return };
    let Some(server) = provider.server(database, &["--oidc-allow-signup"]) else { return };
    let people = json!({
        "1": {"preferred_username": "Ann", "name": "Ann Lee", "email": "Ann@Example.test", "email_verified": true},
        "2": {"preferred_username": "ann", "email": "ann@example.test", "email_verified": false},
        "3": {"preferred_username": "eve", "email": "ann@example.test", "email_verified": true},
    });
    provider.says(json!({ "people": people })).await;
    let mut ann = Browser::new(&server);
    let place = ann.begins().await;
    let asked: BTreeMap<_, _> = place.query_pairs().collect();
    assert_eq!((&*asked["code_challenge_method"], &*asked["redirect_uri"], &*asked["response_type"]), ("S256", REDIRECT, "code"));
    assert!(asked["scope"].contains("openid") && asked["nonce"].len() >= 32 && asked["state"].len() >= 32, "{asked:?}");
    let query = provider.logs_in("1", place.clone()).await;
    let answer = ann.comes_back(&query).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.text().contains("url=/runs?path=f/a\"") && !answer.text().contains("ss_"), "{answer:?}");
    assert_eq!(ann.cookies.keys().map(String::as_str).collect::<Vec<_>>(), ["__Host-sandmill"], "the login's own cookie is gone");
    let me = ann.me().await;
    assert_eq!((&me["user"], &me["display_name"], &me["email"]), (&json!("ann"), &json!("Ann Lee"), &json!("ann@example.test")), "{me}");
    assert_eq!((&me["has_password"], &me["is_instance_admin"]), (&json!(false), &json!(false)), "{me}");
    // The same person again, who is called something else by now.
    provider.says(json!({"people": {"1": {"preferred_username": "root"}, "2": people["2"], "3": people["3"]}})).await;
    let mut again = Browser::new(&server);
    assert_eq!(again.logs_in(&provider, "1").await.status, 200);
    assert_eq!(again.me().await["user"], "ann");
    // A namesake whose address nobody has verified, and one who says to have the address of another.
    let mut other = Browser::new(&server);
    assert_eq!(other.logs_in(&provider, "2").await.status, 200);
    let me = other.me().await;
    assert_eq!((&me["user"], &me["email"]), (&json!("ann-2"), &json!(null)), "{me}");
    let refused = Browser::new(&server).logs_in(&provider, "3").await;
    assert!(refused.status == 403 && detail(&refused).contains("--oidc-subject"), "{refused:?}");
    // Whoever is disabled is out, whatever the provider says.
    admin(&server, Method::PATCH, "/api/instance/users/ann", json!({"is_disabled": true})).await;
    assert_eq!(Browser::new(&server).logs_in(&provider, "1").await.status, 403);
    assert!(!server.log().contains("sandmill-secret"), "{}", server.log());
}

async fn groups_say_who_is_in_a_workspace(database: Database) {
    let Some(provider) = Provider::start() else { return };
    let roles = ["--oidc-allow-signup", "--oidc-role", "devs=default:developer", "--oidc-role", "ops=default:operator"];
    let Some(server) = provider.server(database, &roles) else { return };
    for (groups, role) in [
        (json!(["ops", "x"]), Some("operator")),
        (json!(["ops", "devs"]), Some("developer")),
        (json!([]), None),
        (json!("ops"), Some("operator")),
        (json!(null), None),
    ] {
        provider.says(json!({"people": {"1": {"preferred_username": "ann", "groups": groups}}})).await;
        let mut browser = Browser::new(&server);
        let answer = browser.logs_in(&provider, "1").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(browser.me().await["workspaces"][0]["role"].as_str(), role, "{groups}");
    }
}

async fn whoever_is_not_linked_stays_out(database: Database) {
    let Some(provider) = Provider::start() else { return };
    let Some(server) = provider.server(database, &[]) else { return };
    provider.says(json!({"people": {"1": {"preferred_username": "ann", "email": "ann@a.test", "email_verified": true}}})).await;
    let made = admin(&server, Method::POST, "/api/instance/users", json!({"name": "ann", "email": "ann@a.test"})).await;
    assert_eq!(made.status, 201, "{made:?}");
    // Neither by name nor by address.
    let mut browser = Browser::new(&server);
    let refused = browser.logs_in(&provider, "1").await;
    assert!(refused.status == 403 && detail(&refused).contains("`1`"), "{refused:?}");
    assert!(!browser.cookies.contains_key("__Host-sandmill"), "{:?}", browser.cookies);
    let linked = admin(&server, Method::PATCH, "/api/instance/users/ann", json!({"oidc_subject": "1"})).await;
    assert_eq!((linked.status, &linked.json().unwrap()["oidc_subject"]), (200, &json!("1")));
    assert_eq!(browser.logs_in(&provider, "1").await.status, 200);
    assert_eq!(browser.me().await["user"], "ann");
}

async fn a_login_is_of_one_browser_and_is_good_once(database: Database) {
    let Some(provider) = Provider::start() else { return };
    let Some(server) = provider.server(database, &["--oidc-allow-signup"]) else { return };
    let (mut ann, mut eve) = (Browser::new(&server), Browser::new(&server));
    // What Eve's login led to is given to Ann's browser, with a login of her own under way and without one.
    let place = eve.begins().await;
    let of_eve = provider.logs_in("eve", place).await;
    assert_eq!(ann.comes_back(&of_eve).await.status, 401);
    let place = ann.begins().await;
    assert_eq!(ann.comes_back(&of_eve).await.status, 401);
    // Eve's code with Ann's state: the code was asked for with another verifier.
    let of_ann = provider.logs_in("ann", place).await;
    let [state, code] = [&of_ann, &of_eve].map(|query| Url::parse(&format!("{REDIRECT}?{query}")).unwrap());
    let find = |url: &Url, name: &str| url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
    let mixed = format!("code={}&state={}", find(&code, "code"), find(&state, "state"));
    assert_eq!(ann.comes_back(&mixed).await.status, 401);
    let wrong = of_ann.replace(&find(&state, "state"), &"0".repeat(64));
    assert_eq!(ann.comes_back(&wrong).await.status, 401);
    assert!(ann.cookies.keys().all(|name| name == "__Host-sandmill-login"), "{:?}", ann.cookies);
    // Her own still holds, and only once, even if somebody has all of it.
    let before = ann.cookies.clone();
    assert_eq!(ann.comes_back(&of_ann).await.status, 200);
    let replayed = Browser { server: &server, cookies: before }.comes_back(&of_ann).await;
    assert!(replayed.status == 401 && detail(&replayed).contains("used already"), "{replayed:?}");
    for place in ["https://evil.test/", "//evil.test/", "/%5Cevil.test", "javascript:alert(1)"] {
        assert_eq!(ann.gets(&format!("/api/auth/oidc/start?return_to={place}")).await.status, 400, "{place}");
    }
}

/// `sandmill login --sso` that waits; gone at the latest with the tests.
struct Waiting {
    child: Child,
    folder: TempDir,
    /// Where a browser is to go, path and query.
    start: String,
    /// What the page must show.
    check: String,
}

impl Waiting {
    fn at(server: &Server) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = mortal(binary().as_os_str());
        command.args(["login", &server.url, "--sso"]).current_dir(folder.path()).env("XDG_CONFIG_HOME", folder.path());
        command.env_remove("SANDMILL_TOKEN").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = spawn(command).unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let start = lines.find_map(|line| line.strip_prefix(&server.url).map(str::to_owned)).unwrap();
        let check = lines.next().unwrap().rsplit(' ').next().unwrap().to_owned();
        Self { child, folder, start, check }
    }

    /// What it says, once it has ended well.
    fn ends(mut self) -> (String, TempDir) {
        assert!(self.child.wait().unwrap().success());
        let mut out = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        (out, self.folder)
    }
}

/// Where the link of a page leads.
fn link(page: &Answer) -> Url {
    assert_eq!(page.status, 200, "{page:?}");
    page.text().split_once("href=\"").unwrap().1.split('"').next().unwrap().parse().unwrap()
}

/// The page on which a person is asked whether the command is theirs.
async fn asked(waiting: &Waiting, browser: &mut Browser<'_>, provider: &Provider, account: &str) -> Answer {
    let begun = browser.gets(&waiting.start).await;
    assert_eq!(begun.status, 303, "{begun:?}");
    let query = provider.logs_in(account, begun.header("location").unwrap().parse().unwrap()).await;
    browser.comes_back(&query).await
}

async fn a_command_is_logged_in_through_a_browser(database: Database) {
    let Some(provider) = Provider::start() else { return };
    let Some(server) = provider.server(database, &["--oidc-allow-signup"]) else { return };
    provider.says(json!({"people": {"1": {"preferred_username": "ann"}, "2": {"preferred_username": "eve"}}})).await;
    let (waiting, of_eve) = (Waiting::at(&server), Waiting::at(&server));
    let mut ann = Browser::new(&server);
    // Somebody else's command has made this link. The page says so, and nothing happens without a click.
    let page = asked(&of_eve, &mut ann, &provider, "1").await;
    assert!(page.text().contains("ann") && page.text().contains(&of_eve.check) && !page.text().contains(&waiting.check), "{page:?}");
    assert!(!ann.cookies.contains_key("__Host-sandmill"), "{:?}", ann.cookies);
    let stolen = link(&page);
    // What is meant for one command is no good for another.
    let page = asked(&waiting, &mut ann, &provider, "1").await;
    assert!(page.text().contains(&waiting.check), "{page:?}");
    let own = link(&page);
    let mut crossed = own.clone();
    crossed.set_query(stolen.query());
    let mut unknown = own.clone();
    unknown.set_query(Some(&format!("code=sc_{}", "a".repeat(52))));
    // Of a page that does not know where the command takes codes, or sends it anything.
    let mut guessed = unknown.clone();
    guessed.set_path("/");
    let no_code = own.join("?code=x").unwrap();
    for (place, status) in [(crossed, 400), (unknown, 400), (guessed, 404), (no_code, 404), (own.join("/favicon.ico").unwrap(), 404)] {
        assert_eq!(client().get(place.clone()).send().await.unwrap().status().as_u16(), status, "{place}");
    }
    let brought = Answer::read(client().get(own).send().await.unwrap()).await.unwrap();
    assert!(brought.status == 200 && brought.text().contains("logged in"), "{brought:?}");
    let (out, folder) = waiting.ends();
    assert!(out.contains("as u/ann"), "{out}");
    let mut whoami = Command::new(binary());
    whoami.arg("whoami").current_dir(folder.path()).env("XDG_CONFIG_HOME", folder.path()).env_remove("SANDMILL_TOKEN");
    let output = whoami.output().unwrap();
    assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains("u/ann"), "{output:?}");
    assert!(!server.log().contains("sc_"), "{}", server.log());
    let mut of_eve = of_eve;
    of_eve.child.kill().unwrap();
    of_eve.child.wait().unwrap();
}

/// The browser talks to one node, and the command to the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_logged_in_by_another_node() {
    let (Some(postgres), Some(provider)) = (Postgres::shared(), Provider::start()) else { return };
    let url = postgres.database();
    let own = provider.options();
    let common = ["--database-url", &*url, "--admin-token", "sm_a_token_that_all_nodes_of_a_test_know", "--oidc-allow-signup"];
    let all: Vec<&str> = common.into_iter().chain(own.iter().map(String::as_str)).collect();
    let (one, other) = (Server::start(&all).unwrap(), Server::start(&all).unwrap());
    provider.says(json!({"people": {"1": {"preferred_username": "ann"}}})).await;
    let waiting = Waiting::at(&one);
    let page = asked(&waiting, &mut Browser::new(&other), &provider, "1").await;
    assert_eq!(client().get(link(&page)).send().await.unwrap().status().as_u16(), 200);
    assert!(waiting.ends().0.contains("as u/ann"));
}

/// A genuine ID token of the provider, with the nonce of the login at `place`, for another client.
async fn token_of_another_client(provider: &Provider, place: &Url) -> String {
    let verifier = "v".repeat(64);
    let challenge = URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(verifier.as_bytes()));
    let mut other = place.clone();
    let pairs: Vec<(String, String)> = place.query_pairs().into_owned().collect();
    let changed = pairs.into_iter().map(|(name, value)| match name.as_str() {
        "client_id" => (name, "other".to_owned()),
        "code_challenge" => (name, challenge.clone()),
        _ => (name, value),
    });
    other.query_pairs_mut().clear().extend_pairs(changed);
    let query = provider.logs_in("1", other).await;
    let back = Url::parse(&format!("{REDIRECT}?{query}")).unwrap();
    let code = back.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let form = [("grant_type", "authorization_code"), ("code", &*code), ("redirect_uri", REDIRECT), ("code_verifier", &*verifier)];
    let form = Url::parse_with_params("http://x", form).unwrap().query().unwrap().to_owned();
    let request = Client::new().post(format!("{}/token", provider.issuer)).basic_auth("other", Some("other-secret-other-secret"));
    let answer = request.header("content-type", "application/x-www-form-urlencoded").body(form).send().await.unwrap();
    let tokens: Value = Answer::read(answer).await.unwrap().json().unwrap();
    tokens["id_token"].as_str().unwrap_or_else(|| panic!("{tokens}")).to_owned()
}

async fn an_id_token_of_another_client_is_no_good(database: Database) {
    let Some(provider) = Provider::start() else { return };
    let Some(server) = provider.server(database, &["--oidc-allow-signup"]) else { return };
    let mut browser = Browser::new(&server);
    let place = browser.begins().await;
    let token = token_of_another_client(&provider, &place).await;
    let query = provider.logs_in("1", place).await;
    provider.says(json!({ "swap": token })).await;
    let refused = browser.comes_back(&query).await;
    assert!(refused.status == 401 && detail(&refused).contains("meant for another client"), "{refused:?}");
    // One of an earlier login, and one that somebody has changed.
    let earlier = token;
    let signature = earlier.rsplit('.').next().unwrap();
    let parts: Vec<&str> = earlier.split('.').collect();
    let mut claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    claims["aud"] = json!("sandmill");
    let forged = format!("{}.{}.{signature}", parts[0], URL_SAFE_NO_PAD.encode(claims.to_string()));
    let unsigned = format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode(claims.to_string()));
    for token in [forged, unsigned] {
        let place = browser.begins().await;
        let query = provider.logs_in("1", place).await;
        provider.says(json!({ "swap": token })).await;
        let refused = browser.comes_back(&query).await;
        assert!(matches!(refused.status, 401 | 503), "{refused:?}");
        assert!(!browser.cookies.contains_key("__Host-sandmill"), "{:?}", browser.cookies);
    }
}

async fn a_provider_that_is_away_is_told_of(database: Database) {
    let Some(mut provider) = Provider::start() else { return };
    let Some(server) = provider.server(database, &["--oidc-allow-signup"]) else { return };
    let mut browser = Browser::new(&server);
    let place = browser.begins().await;
    let query = provider.logs_in("1", place).await;
    provider.child.kill().unwrap();
    provider.child.wait().unwrap();
    let away = browser.comes_back(&query).await;
    assert_eq!(away.status, 503, "{away:?}");
    assert!(server.log().contains("cannot be reached"), "{}", server.log());
    // Passwords are another matter.
    assert_eq!(browser.gets("/api/auth/me").await.status, 401);
}
