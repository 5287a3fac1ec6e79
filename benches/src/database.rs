//! The database under a server that is measured, and rows in it that nobody has to make one by one.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, ensure};
use sandmill_testkit::postgres::Postgres;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    Sqlite,
    /// A server of the bench's own, which writes to the disk as it does by itself.
    Postgres,
}

pub(crate) struct Database {
    kind: Kind,
    /// The server's data folder, with the file if there is one.
    data: tempfile::TempDir,
    /// Server, and name of the database.
    postgres: Option<(Postgres, String)>,
}

/// What a copy of a row has in one of its columns; `{i}` is its number, from 1.
pub(crate) type Altered<'a> = (&'a str, &'a str);

/// Of a run that is copied: the same time, then its number. Sorts after the other copies with lower numbers, before runs of later times.
pub(crate) const COPIED_ID_SQLITE: &str = "CAST(substr(id, 1, 6) || printf('%010d', {i}) AS BLOB)";
pub(crate) const COPIED_ID_POSTGRES: &str = "substring(id FROM 1 FOR 6) || convert_to(lpad({i}::text, 10, '0'), 'UTF8')";

impl Database {
    pub(crate) fn new(kind: Kind) -> anyhow::Result<Self> {
        let postgres = match kind {
            Kind::Sqlite => None,
            Kind::Postgres => {
                let server = Postgres::durable().context("PostgreSQL is not installed and cannot be")?;
                let url = server.database();
                let name = url.rsplit('/').next().context("a database has a name")?.to_owned();
                Some((server, name))
            }
        };
        Ok(Self { kind, data: tempfile::tempdir()?, postgres })
    }

    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    pub(crate) const fn name(&self) -> &'static str {
        match self.kind {
            Kind::Sqlite => "SQLite",
            Kind::Postgres => "PostgreSQL",
        }
    }

    pub(crate) fn postgres(&self) -> anyhow::Result<&Postgres> {
        self.postgres.as_ref().map(|(server, _)| server).context("this is SQLite")
    }

    /// Options of a server on it.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut arguments = ["--log", "warn,sandmill=info"].map(str::to_owned).to_vec();
        if let Some((server, name)) = &self.postgres {
            arguments.extend(["--database-url".to_owned(), server.url(name)]);
        }
        arguments
    }

    /// Runs a statement; returns what the client prints, columns with `|` between.
    pub(crate) fn execute(&self, statement: &str) -> anyhow::Result<String> {
        if let Some((server, name)) = &self.postgres {
            return server.execute(name, statement);
        }
        let file = self.data().join("sandmill.db");
        let output = Command::new("sqlite3").arg(file).arg(statement).stdin(Stdio::null()).output();
        let output = output.context("sqlite3 cannot be started; it is in Debian's package sqlite3")?;
        ensure!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    pub(crate) fn count(&self, query: &str) -> anyhow::Result<u64> {
        Ok(self.execute(&format!("SELECT count(*) FROM {query}"))?.parse()?)
    }

    /// How a copy's id is made.
    pub(crate) const fn copied_id(&self) -> &'static str {
        match self.kind {
            Kind::Sqlite => COPIED_ID_SQLITE,
            Kind::Postgres => COPIED_ID_POSTGRES,
        }
    }

    /// Copies the one row of `table` that fits `condition`, numbers `from` to `to`, with some columns altered.
    pub(crate) fn copy(&self, table: &str, condition: &str, numbers: (u64, u64), altered: &[Altered<'_>]) -> anyhow::Result<()> {
        let columns = match self.kind {
            Kind::Sqlite => format!("SELECT name FROM pragma_table_info('{table}')"),
            Kind::Postgres => format!(
                "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = '{table}' AND is_generated = 'NEVER'"
            ),
        };
        let columns = self.execute(&columns)?;
        let columns: Vec<&str> = columns.lines().collect();
        ensure!(!columns.is_empty(), "there is no table {table}");
        let values: Vec<String> = columns
            .iter()
            .map(|column| {
                let altered = altered.iter().find(|(name, _)| name == column);
                altered.map_or_else(|| (*column).to_owned(), |(_, value)| value.replace("{i}", "i"))
            })
            .collect();
        let numbers = match (self.kind, numbers) {
            (Kind::Sqlite, (from, to)) => {
                format!("(WITH RECURSIVE n (i) AS (SELECT {from} UNION ALL SELECT i + 1 FROM n WHERE i < {to}) SELECT i FROM n)")
            }
            (Kind::Postgres, (from, to)) => format!("(SELECT i FROM generate_series({from}::bigint, {to}::bigint) AS n (i))"),
        };
        let statement = format!(
            "INSERT INTO {table} ({}) SELECT {} FROM {numbers} AS numbers CROSS JOIN (SELECT * FROM {table} WHERE {condition} LIMIT 1) AS one",
            columns.join(", "),
            values.join(", ")
        );
        self.execute(&statement)?;
        if self.kind == Kind::Postgres {
            self.execute(&format!("VACUUM ANALYZE {table}"))?;
        }
        Ok(())
    }
}
