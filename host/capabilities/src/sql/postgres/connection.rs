//! One connection: where to, as whom, and to which process of the server.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use sandmill_model::JsonText;
use serde::Deserialize;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Row as _,
    postgres::{PgConnectOptions, PgConnection, PgSslMode},
};
use tokio::net::TcpStream;

use super::{
    failure::{self, failure},
    wire::{self, Wire},
};
use crate::sql::{Allows, Error, databases::Common};

/// Bytes of a name of a host, as DNS has it.
const HOST_BYTES_MAX: usize = 253;
/// Bytes of the other texts of a resource.
const FIELD_BYTES_MAX: usize = 64 * 1024;
/// Statements that the client knows again within one call or transaction.
const STATEMENTS_MAX: usize = 16;

/// Between two looks at whether a process has ended. Servers before 14 cannot wait for it themselves.
const TERMINATE_INTERVAL: Duration = Duration::from_millis(10);

/// A resource of the type `postgresql`.
#[derive(Deserialize)]
pub(super) struct Spec {
    host: String,
    #[serde(default = "default_port")]
    port: u16,
    database: String,
    user: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    tls: Tls,
    /// PEM of the authority that signed the server's certificate; without it those that browsers know.
    #[serde(default)]
    root_certificate: Option<String>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Tls {
    Disable,
    Prefer,
    Require,
    /// As the schema of the type has it.
    #[default]
    VerifyFull,
}

fn default_port() -> u16 {
    5432
}

impl Spec {
    pub(super) fn read(value: &JsonText) -> Result<Self, Error> {
        // What serde says could show a value.
        let invalid = |reason: &str| Error::Invalid(format!("the resource is no `postgresql`: {reason}"));
        let spec: Self = value.read().map_err(|error| match error.classify() {
            serde_json::error::Category::Data => {
                invalid("it needs host, database and user, texts, and may have port, password, tls (disable, prefer, require or verify-full) and root_certificate")
            }
            _ => invalid("it is no JSON"),
        })?;
        let host = &spec.host;
        let is_of_hosts = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || host.len() > HOST_BYTES_MAX || !host.chars().all(is_of_hosts) {
            return Err(invalid("the host is a name or an address"));
        }
        let texts = [&spec.database, &spec.user, &spec.password, spec.root_certificate.as_ref().unwrap_or(host)];
        if spec.database.is_empty() || spec.user.is_empty() || texts.iter().any(|text| text.contains('\0') || text.len() > FIELD_BYTES_MAX)
        {
            return Err(invalid("database and user are not empty, and no field has NUL characters"));
        }
        Ok(spec)
    }

    /// All that the environment could have set is set.
    fn options(&self, socket_folder: &std::path::Path) -> PgConnectOptions {
        let mode = match self.tls {
            Tls::Disable => PgSslMode::Disable,
            Tls::Prefer => PgSslMode::Prefer,
            Tls::Require => PgSslMode::Require,
            Tls::VerifyFull => PgSslMode::VerifyFull,
        };
        let mut options = PgConnectOptions::new_without_pgpass()
            .host(&self.host)
            .port(wire::PORT)
            .socket(socket_folder)
            .database(&self.database)
            .username(&self.user)
            .password(&self.password)
            .ssl_mode(mode)
            .application_name("sandmill")
            .statement_cache_capacity(STATEMENTS_MAX)
            .disable_statement_logging();
        if let Some(certificate) = &self.root_certificate {
            options = options.ssl_root_cert_from_pem(certificate.clone().into_bytes());
        }
        options
    }

    async fn reach(&self, allows: &Allows) -> Result<TcpStream, Error> {
        let unreachable = || Error::Unavailable("the database cannot be reached".to_owned());
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await.map_err(|_| unreachable())?;
        let found: Vec<SocketAddr> = found.collect();
        // As for requests over HTTP: with one that is denied none is connected to.
        if found.iter().any(|address| !allows(address.ip())) {
            return Err(Error::Denied(
                "its host has an address that this installation does not let scripts connect to (loopback, private and the like)"
                    .to_owned(),
            ));
        }
        let stream = TcpStream::connect(&*found).await.map_err(|_| unreachable())?;
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }
}

pub(super) struct Connection {
    pub(super) client: PgConnection,
    pub(super) wire: Wire,
    backend: Backend,
}

/// A process of the server; its number alone may be another's later.
#[derive(Clone)]
pub(super) struct Backend {
    number: i32,
    since: String,
}

impl Connection {
    pub(super) async fn open(spec: &Spec, common: &Arc<Common>) -> Result<Self, Error> {
        let server = spec.reach(&common.options.allows).await?;
        let (wire, folder) = Wire::start(server).map_err(|error| Error::Unavailable(format!("no socket can be made: {}", error.kind())))?;
        let mut client = spec.options(folder.path()).connect().await.map_err(|error| failure(&error))?;
        let who = "SELECT pid::text, backend_start::text FROM pg_catalog.pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid()";
        let row = sqlx::raw_sql(who).fetch_one(&mut client).await.map_err(|error| failure(&error))?;
        let text = |at: usize| row.try_get::<String, _>(at).map_err(|error| failure(&error));
        let number = text(0)?.parse().map_err(|_| Error::Unavailable("the database does not say who it is".to_owned()))?;
        Ok(Self { client, wire, backend: Backend { number, since: text(1)? } })
    }

    pub(super) fn backend(&self) -> Backend {
        self.backend.clone()
    }

    /// Ends another connection's process, with whatever it is doing, and waits until it is gone.
    pub(super) async fn terminate(&mut self, backend: &Backend) -> Result<(), failure::Cause> {
        let statement = "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE pid = $1 AND backend_start = $2::text::timestamptz";
        loop {
            let ending = sqlx::query(AssertSqlSafe(statement)).bind(backend.number).bind(&backend.since);
            if ending.fetch_optional(&mut self.client).await?.is_none() {
                return Ok(());
            }
            tokio::time::sleep(TERMINATE_INTERVAL).await;
        }
    }
}
