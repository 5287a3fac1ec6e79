//! Servers for all tests that do not need their own. Each is started by the first test that asks, and ends with the test process.

use sandmill_testkit::{postgres::Postgres, server::Server};
use serde_json::{Value, json};
use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// Runs after which no script has ever been compiled on its own.
const NEVER: &str = "4000000000";

/// One with the options that it has by itself.
pub(crate) fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start(&[]).expect("the server starts"))
}

/// What a server keeps everything in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Database {
    Sqlite,
    Postgres,
}

impl Database {
    /// A server on it for all tests that do not need their own; none without a PostgreSQL.
    pub(crate) fn server(self) -> Option<&'static Server> {
        static ON_POSTGRES: OnceLock<Option<Server>> = OnceLock::new();
        match self {
            Self::Sqlite => Some(server()),
            Self::Postgres => ON_POSTGRES.get_or_init(|| self.start(&[])).as_ref(),
        }
    }

    /// A server with a database of its own; none without a PostgreSQL.
    pub(crate) fn start(self, arguments: &[&str]) -> Option<Server> {
        let url = match self {
            Self::Sqlite => None,
            Self::Postgres => Some(Postgres::shared()?.database()),
        };
        let mut all = arguments.to_vec();
        all.extend(url.iter().flat_map(|url| ["--database-url", url]));
        Some(Server::start(&all).expect("the server starts"))
    }
}

/// Lists tests, each `async fn(Database)`, and runs them on both databases; one that uses `Database::server` or `start` skips itself where
/// there is no PostgreSQL.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    super::$name(crate::shared::Database::Sqlite).await;
                }
            )*
        }
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    super::$name(crate::shared::Database::Postgres).await;
                }
            )*
        }
    };
}
pub(crate) use on_both;

/// What a tier's scripts run in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    /// The shared language runtime, always.
    Hosted,
    /// Programs of their own.
    Own,
}

/// A server for each tier.
pub(crate) fn tiers() -> [(Tier, &'static Server); 2] {
    static HOSTED: OnceLock<Server> = OnceLock::new();
    static OWN: OnceLock<Server> = OnceLock::new();
    let start = |runs: &str| Server::start(&["--snapshot-after-runs", runs]).expect("the server starts");
    [(Tier::Hosted, HOSTED.get_or_init(|| start(NEVER))), (Tier::Own, OWN.get_or_init(|| start("1")))]
}

/// Deploys scripts, each with its path, its deployment and arguments for a first run, to a server for each tier. When this returns they
/// run there as the tier says.
pub(crate) async fn in_both_tiers(scripts: &[(&str, Value, Value)]) -> [(Tier, &'static Server); 2] {
    // Programs are counted, not named: while one test waits for its own, no other may add to them.
    static TURN: Mutex<()> = Mutex::const_new(());
    let _turn = TURN.lock().await;
    let tiers = tiers();
    for (tier, server) in tiers {
        let before = server.own_programs().await.unwrap();
        for (path, body, arguments) in scripts {
            server.deploy_with(path, body.clone()).await.unwrap();
            server.call(path, arguments).await.unwrap();
        }
        match tier {
            Tier::Hosted => assert_eq!(server.own_programs().await.unwrap(), 0, "this server leaves all in the shared runtime"),
            Tier::Own => server.wait_for_own_programs(before + scripts.len() as u64).await.unwrap(),
        }
    }
    tiers
}

/// Microseconds since the epoch, of a time as the API writes it.
pub(crate) fn micros(time: &str) -> i64 {
    chrono::DateTime::parse_from_rfc3339(time).unwrap().timestamp_micros()
}

/// The deployment of a script with nothing but its source.
pub(crate) fn plain(language: &str, source: &str) -> Value {
    json!({"language": language, "source": source})
}

/// Waits until a run has a status.
pub(crate) async fn wait_for_status(server: &Server, id: &str, status: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let run = server.get_json(&format!("/api/w/default/runs/{id}")).await.unwrap();
        if run["status"] == status {
            return;
        }
        assert!(Instant::now() < deadline, "the run does not become {status}: {run}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
