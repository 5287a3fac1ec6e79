//! Somebody who is connected: sends, and asks JetStream. Blocking, and as little as tests need.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use super::Login;

const ANSWER_LIMIT: Duration = Duration::from_secs(10);

pub struct Client {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
    requests: u32,
}

impl Client {
    pub(super) fn connect(port: u16, login: &Login) -> anyhow::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        let reader = BufReader::new(stream.try_clone()?);
        let mut client = Self { stream, reader, requests: 0 };
        let mut said = json!({"verbose": false, "pedantic": false, "headers": true, "no_responders": true, "lang": "test", "version": "0", "protocol": 1});
        match login {
            Login::Nobody => {}
            Login::Token(token) => said["auth_token"] = token.as_str().into(),
            Login::User { name, password } => (said["user"], said["pass"]) = (name.as_str().into(), password.as_str().into()),
            Login::Nkey(_) | Login::Operator { .. } => bail!("this client has no key"),
        }
        ensure!(client.line()?.starts_with("INFO "), "it does not say who it is");
        client.send(format!("CONNECT {said}\r\nSUB answers.> 1\r\n").as_bytes())?;
        client.settle()?;
        Ok(client)
    }

    /// Sends a message and waits until the server has it.
    ///
    /// # Errors
    /// If it does not take it.
    pub fn publish(&mut self, subject: &str, headers: &[(&str, &str)], payload: &[u8]) -> anyhow::Result<()> {
        self.push(subject, headers, payload)?;
        self.settle()
    }

    /// The same, many times; `payload` is asked for each.
    ///
    /// # Errors
    /// As [`Client::publish`].
    pub fn publish_many(&mut self, subject: &str, count: usize, payload: impl Fn(usize) -> Vec<u8>) -> anyhow::Result<()> {
        (0..count).try_for_each(|at| self.push(subject, &[], &payload(at)))?;
        self.settle()
    }

    /// Sends lines of the protocol as they are, and waits until the server has dealt with them.
    ///
    /// # Errors
    /// If it complains.
    pub fn say(&mut self, lines: &[u8]) -> anyhow::Result<()> {
        self.send(lines)?;
        self.settle()
    }

    fn push(&mut self, subject: &str, headers: &[(&str, &str)], payload: &[u8]) -> anyhow::Result<()> {
        let mut message = if headers.is_empty() {
            format!("PUB {subject} {}\r\n", payload.len()).into_bytes()
        } else {
            let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let block = format!("NATS/1.0\r\n{lines}\r\n");
            format!("HPUB {subject} {} {}\r\n{block}", block.len(), block.len() + payload.len()).into_bytes()
        };
        message.extend_from_slice(payload);
        message.extend_from_slice(b"\r\n");
        self.send(&message)
    }

    /// Makes a stream of all messages of a subject.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn make_stream(&mut self, name: &str, subject: &str) -> anyhow::Result<()> {
        let config =
            json!({"name": name, "subjects": [subject], "retention": "limits", "storage": "file", "discard": "old", "num_replicas": 1});
        self.api(&format!("STREAM.CREATE.{name}"), &config).map(drop)
    }

    /// Asks JetStream.
    ///
    /// # Errors
    /// What it refuses.
    pub fn api(&mut self, what: &str, request: &Value) -> anyhow::Result<Value> {
        self.requests += 1;
        let (reply, body) = (format!("answers.{}", self.requests), request.to_string());
        self.send(format!("PUB $JS.API.{what} {reply} {}\r\n{body}\r\n", body.len()).as_bytes())?;
        loop {
            let (subject, payload) = self.message()?;
            if subject == reply {
                let answer: Value = serde_json::from_slice(&payload).context("JetStream is not enabled")?;
                ensure!(answer.get("error").is_none(), "{what}: {answer}");
                return Ok(answer);
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(self.stream.write_all(bytes)?)
    }

    fn settle(&mut self) -> anyhow::Result<()> {
        self.send(b"PING\r\n")?;
        loop {
            let line = self.line()?;
            match line.split(' ').next().unwrap_or_default() {
                "PONG" => return Ok(()),
                "-ERR" => bail!("{line}"),
                _ => self.skip(&line)?,
            }
        }
    }

    /// The next message: its subject and payload.
    fn message(&mut self) -> anyhow::Result<(String, Vec<u8>)> {
        loop {
            let line = self.line()?;
            let words: Vec<&str> = line.split(' ').collect();
            match words[0] {
                "MSG" => return Ok((words[1].to_owned(), self.bytes(words[words.len() - 1].parse()?)?)),
                "HMSG" => {
                    let headers: usize = words[words.len() - 2].parse()?;
                    let all = self.bytes(words[words.len() - 1].parse()?)?;
                    return Ok((words[1].to_owned(), all[headers..].to_vec()));
                }
                "-ERR" => bail!("{line}"),
                _ => self.skip(&line)?,
            }
        }
    }

    /// Passes over what was not asked for.
    fn skip(&mut self, line: &str) -> anyhow::Result<()> {
        if line == "PING" {
            return self.send(b"PONG\r\n");
        }
        if line.starts_with("MSG ") || line.starts_with("HMSG ") {
            let length = line.rsplit(' ').next().unwrap_or_default().parse()?;
            self.bytes(length)?;
        }
        Ok(())
    }

    fn bytes(&mut self, length: usize) -> anyhow::Result<Vec<u8>> {
        let mut bytes = vec![0; length + 2];
        self.reader.read_exact(&mut bytes)?;
        bytes.truncate(length);
        Ok(bytes)
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        ensure!(self.reader.read_line(&mut line)? > 0, "the server has closed the connection");
        Ok(line.trim_end().to_owned())
    }
}
