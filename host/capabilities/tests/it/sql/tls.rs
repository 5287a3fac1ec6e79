//! PostgreSQL behind TLS: a door in front of the tests' server, which takes whoever comes in to it.

use std::{sync::Arc, time::Instant};

use sandmill_testkit::postgres::Postgres;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use super::{PG, Pg, calls};
use crate::{http::server::Authority, testing::workspace};

/// What a client asks first that would like TLS: its length, and a number that stands for the question.
const QUESTION: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

struct Door {
    port: u16,
    /// Ends with it.
    _tasks: JoinSet<()>,
}

impl Door {
    /// Without TLS it answers that there is none.
    async fn open(server: &'static Postgres, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut guests = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                guests.spawn(let_in(stream, server, tls.clone()));
            }
        });
        Self { port, _tasks: tasks }
    }
}

async fn let_in(mut guest: TcpStream, server: &'static Postgres, tls: Option<TlsAcceptor>) {
    let mut question = [0; QUESTION.len()];
    if guest.read_exact(&mut question).await.is_err() {
        return;
    }
    assert_eq!(question, QUESTION, "nothing is said before TLS");
    let mut inside = TcpStream::connect(("127.0.0.1", port_of(server))).await.unwrap();
    match tls {
        Some(tls) => {
            guest.write_all(b"S").await.unwrap();
            // Whoever does not believe the certificate is gone.
            let Ok(mut guest) = tls.accept(guest).await else { return };
            let _ = copy_bidirectional(&mut guest, &mut inside).await;
        }
        None => {
            guest.write_all(b"N").await.unwrap();
            let _ = copy_bidirectional(&mut guest, &mut inside).await;
        }
    }
}

fn port_of(server: &Postgres) -> u16 {
    server.url("postgres").rsplit(':').next().unwrap().split('/').next().unwrap().parse().unwrap()
}

impl Pg {
    /// What a statement is answered through the door.
    async fn through(&mut self, door: &Door, revision: i64, more: Value) -> Value {
        let mut resource = self.resource();
        let fields = resource.as_object_mut().unwrap();
        fields.extend([("host".to_owned(), json!("localhost")), ("port".to_owned(), json!(door.port))]);
        fields.extend(more.as_object().unwrap().clone());
        self.bed.put_resource(workspace(1), PG, ("postgresql", revision, resource));
        calls(&self.bed, PG, &json!([["query", 0, "SELECT 1 AS one"]])).await[0].take()
    }
}

#[tokio::test]
async fn certificates_are_checked_as_the_resource_says() {
    let Some(mut pg) = Pg::new("read") else { return };
    let (ours, other) = (Authority::new(), Authority::new());
    let tls = |authority: &Authority, name: &str| Some(TlsAcceptor::from(Arc::new(authority.config(name, &[]))));
    let right = Door::open(pg.server, tls(&ours, "localhost")).await;
    let misnamed = Door::open(pg.server, tls(&ours, "elsewhere.test")).await;
    let bare = Door::open(pg.server, None).await;
    let (ca, other) = (ours.pem(), other.pem());
    let began = Instant::now();
    for (revision, (door, more, is_let_in)) in (2..).zip([
        (&right, json!({"tls": "verify-full", "root_certificate": ca}), true),
        (&right, json!({"tls": "verify-full", "root_certificate": other}), false),
        (&right, json!({"tls": "verify-full"}), false),
        (&misnamed, json!({"tls": "verify-full", "root_certificate": ca}), false),
        (&misnamed, json!({"tls": "require"}), true),
        (&right, json!({"tls": "prefer"}), true),
        (&bare, json!({"tls": "prefer"}), true),
        (&bare, json!({"tls": "require"}), false),
        (&bare, json!({"tls": "verify-full", "root_certificate": ca}), false),
    ]) {
        let answer = pg.through(door, revision, more.clone()).await;
        if is_let_in {
            assert_eq!(answer, json!([{ "one": 1 }]), "{more}");
        } else {
            assert!(answer["unavailable"].is_string(), "{more}: {answer}");
        }
    }
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}
