//! Databases as a guest sees them: SQLite in a folder, PostgreSQL in a server of the tests.

mod limits;
mod postgres;
mod sqlite;
mod tls;
mod types;

use std::time::Duration;

use sandmill_model::{Attempt, Input, JsonText, Limits, Outcome};
use sandmill_testkit::postgres::Postgres;
use serde_json::{Value, json};

use crate::testing::{Testbed, attempt, json, testbed, workspace};

/// Resources of the tests.
const PG: &str = "f/test/pg";
const LITE: &str = "f/test/lite";

fn run_of(number: u32) -> Attempt {
    Attempt { workspace: workspace(number), ..attempt(Input::Arguments(JsonText::empty_object())) }
}

/// With so much time.
fn quick(wall_ms: u64) -> Attempt {
    Attempt { limits: Limits { wall_ms, fuel: 40_000_000_000_000, ..Limits::default() }, ..run_of(1) }
}

async fn run(bed: &Testbed, attempt: Attempt, calls: &Value) -> Outcome {
    bed.attempt(attempt, &calls.to_string()).await
}

/// Opens the resource and makes the calls; results without that of opening.
async fn calls(bed: &Testbed, path: &str, calls: &Value) -> Value {
    calls_of(bed, 1, path, calls).await
}

async fn calls_of(bed: &Testbed, workspace: u32, path: &str, calls: &Value) -> Value {
    let mut all = json!([["open", path]]);
    all.as_array_mut().unwrap().extend(calls.as_array().unwrap().iter().cloned());
    let mut results = json(&run(bed, run_of(workspace), &all).await);
    let results = results.as_array_mut().unwrap();
    assert_eq!(results.remove(0), json!(0), "{path} was opened");
    Value::from(std::mem::take(results))
}

pub(crate) fn bed() -> Testbed {
    lite()
}

/// A bed with a SQLite database that may be written.
fn lite() -> Testbed {
    let mut bed = testbed("sql");
    bed.grants.sql = vec![format!("write {LITE}").parse().unwrap()];
    bed.put_resource(workspace(1), LITE, ("sqlite", 1, json!({ "name": "main" })));
    bed
}

#[tokio::test]
async fn a_denial_names_the_grant_that_is_missing() {
    let mut bed = lite();
    *bed.ports.given.lock().unwrap() = Some(Ok(Vec::new()));
    for (asked, told) in [
        (r#"{"sql":["read f/test/lite"]}"#, "sandmill grants give f/test/script \"sql:read f/test/lite\""),
        (r#"{"sql":["write f/test/*"],"resources":["*"]}"#, "sandmill grants give f/test/script \"sql:write f/test/*\""),
        (r#"{"resources":["f/test/*"]}"#, "sandmill grants give f/test/script \"resources:f/test/*\""),
        ("{}", "(resources = [\"f/test/lite\"] or sql = [\"read f/test/lite\"])"),
    ] {
        bed.grants = serde_json::from_str(asked).unwrap();
        let results = json(&run(&bed, run_of(1), &json!([["open", LITE]])).await);
        let text = results[0]["denied"].as_str().unwrap();
        assert!(text.contains(told), "{asked}: {text}");
    }
}

struct Pg {
    server: &'static Postgres,
    /// A superuser's, empty.
    database: String,
    /// Who uses it; it owns the schema `public` and may do nothing else.
    user: String,
    bed: Testbed,
}

impl Pg {
    /// None where there is no PostgreSQL.
    fn new(mode: &str) -> Option<Self> {
        let server = Postgres::shared()?;
        let url = server.database();
        let database = url.rsplit('/').next().unwrap().to_owned();
        let user = format!("user_{database}");
        let own =
            format!("CREATE ROLE {user} LOGIN; GRANT ALL ON SCHEMA public TO {user}; GRANT CREATE, TEMP ON DATABASE {database} TO {user}");
        server.execute(&database, &own).unwrap();
        let mut bed = testbed("sql");
        bed.grants.sql = vec![format!("{mode} {PG}").parse().unwrap()];
        let pg = Self { server, database, user, bed };
        pg.bed.put_resource(workspace(1), PG, ("postgresql", 1, pg.resource()));
        Some(pg)
    }

    fn resource(&self) -> Value {
        let url = self.server.url(&self.database);
        let port: u16 = url.rsplit(':').next().unwrap().split('/').next().unwrap().parse().unwrap();
        json!({ "host": "127.0.0.1", "port": port, "database": self.database, "user": self.user, "password": "pa55word", "tls": "prefer" })
    }

    async fn calls(&self, list: &Value) -> Value {
        calls(&self.bed, PG, list).await
    }

    /// As the superuser.
    fn say(&self, statement: &str) -> String {
        self.server.execute(&self.database, statement).unwrap()
    }

    /// Processes of the server that are at work for the user, or in a transaction.
    fn busy(&self) -> String {
        self.say(&format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{}' AND state <> 'idle'", self.user))
    }

    /// Waits until nothing is left of calls that were dropped.
    async fn settled(&self) {
        tokio::time::timeout(Duration::from_secs(20), self.bed.databases.settled()).await.unwrap();
    }
}
