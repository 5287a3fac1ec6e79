//! As much of the protocol of NATS as publishers and administrators need: lines of text, of which a few are written and read.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// How long the server may take for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(50);
/// Messages to a stream of which it has not said that it keeps them.
const UNDER_WAY_MAX: usize = 500;
/// Where answers come.
const INBOX: &str = "_INBOX.sandmill-testkit";
const CONNECT: &[u8] = b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true}\r\n";

/// What comes to the inbox.
#[derive(PartialEq, Eq)]
enum Answer {
    Message(Vec<u8>),
    Nobody,
}

pub struct Client {
    lines: BufReader<OwnedReadHalf>,
    out: OwnedWriteHalf,
}

impl Client {
    /// To a server of this machine that lets everybody in.
    pub async fn connect(port: u16) -> anyhow::Result<Self> {
        let (lines, out) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?.into_split();
        let mut client = Self { lines: BufReader::new(lines), out };
        let greeting = client.line().await?;
        ensure!(greeting.starts_with("INFO "), "{greeting}");
        client.out.write_all(CONNECT).await?;
        client.out.write_all(format!("SUB {INBOX} 1\r\n").as_bytes()).await?;
        client.answers().await?;
        Ok(client)
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        let read = tokio::time::timeout(PATIENCE, self.lines.read_line(&mut line)).await.context("the server does not answer")?;
        ensure!(read? > 0, "the server hung up");
        Ok(line.trim_end().to_owned())
    }

    async fn publish(&mut self, subject: &str, reply: &str, payload: &[u8]) -> anyhow::Result<()> {
        let mut message = format!("PUB {subject} {reply} {}\r\n", payload.len()).into_bytes();
        message.extend_from_slice(payload);
        message.extend_from_slice(b"\r\n");
        Ok(self.out.write_all(&message).await?)
    }

    /// What comes until the server has had all that was written.
    async fn answers(&mut self) -> anyhow::Result<Vec<Answer>> {
        self.out.write_all(b"PING\r\n").await?;
        let mut answers = Vec::new();
        loop {
            let line = self.line().await?;
            if line == "PONG" {
                return Ok(answers);
            }
            answers.extend(self.answer(&line).await?);
        }
    }

    async fn answer(&mut self, line: &str) -> anyhow::Result<Option<Answer>> {
        match line.split_once(' ') {
            Some(("MSG", rest)) => Ok(Some(Answer::Message(self.body(rest).await?))),
            // A head without a body: there is nobody.
            Some(("HMSG", rest)) => {
                self.body(rest).await?;
                Ok(Some(Answer::Nobody))
            }
            Some(("-ERR", error)) => bail!("{error}"),
            _ => {
                if line == "PING" {
                    self.out.write_all(b"PONG\r\n").await?;
                }
                Ok(None)
            }
        }
    }

    async fn body(&mut self, rest: &str) -> anyhow::Result<Vec<u8>> {
        let bytes: usize = rest.rsplit(' ').next().unwrap_or_default().parse()?;
        let mut body = vec![0; bytes + 2];
        self.lines.read_exact(&mut body).await?;
        body.truncate(bytes);
        Ok(body)
    }

    /// Publishes until whoever listens has heard it, once.
    pub async fn publish_until_heard(&mut self, subject: &str, payload: &[u8]) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.publish(subject, INBOX, payload).await?;
            if !self.answers().await?.contains(&Answer::Nobody) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "nobody listens to {subject}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Publishes all to a stream, which says of each that it keeps it.
    pub async fn fill(&mut self, subject: &str, payloads: impl Iterator<Item = Vec<u8>>) -> anyhow::Result<()> {
        let mut under_way = 0;
        for payload in payloads {
            self.publish(subject, INBOX, &payload).await?;
            under_way += 1;
            if under_way == UNDER_WAY_MAX {
                self.kept(under_way).await?;
                under_way = 0;
            }
        }
        self.kept(under_way).await
    }

    async fn kept(&mut self, count: usize) -> anyhow::Result<()> {
        let mut left = count;
        while left > 0 {
            let line = self.line().await?;
            match self.answer(&line).await? {
                None => {}
                Some(Answer::Message(body)) if serde_json::from_slice::<Value>(&body)?["seq"].is_u64() => left -= 1,
                Some(_) => bail!("no stream keeps it"),
            }
        }
        Ok(())
    }

    /// A request, and what is answered. A server that has just started answers once its streams are there.
    pub async fn request(&mut self, subject: &str, payload: &[u8]) -> anyhow::Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.publish(subject, INBOX, payload).await?;
            let answer = loop {
                let line = self.line().await?;
                if let Some(answer) = self.answer(&line).await? {
                    break answer;
                }
            };
            if let Answer::Message(body) = answer {
                let value: Value = serde_json::from_slice(&body)?;
                if value["error"]["code"] != 503 {
                    return Ok(value);
                }
            }
            ensure!(Instant::now() < deadline, "nobody answers {subject}");
            tokio::time::sleep(PAUSE).await;
        }
    }
}
