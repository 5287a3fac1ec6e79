//! What a server and its build workers say to each other over a pipe: frames of a JSON header and a binary body,
//! each with its length before it as four bytes, lowest first. Neither side believes a length above its bound.

use std::io::{self, Read, Write};

use bytes::Bytes;
use sandmill_model::{
    Language, Manifest,
    build::{BuildError, Built},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::limits::{FRAME_BODY_BYTES_MAX, FRAME_HEADER_BYTES_MAX};

/// A compiled form of the JavaScript runtime that workers need at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Artefact {
    /// The runtime as it is: loads a module to see whether it loads.
    Runtime,
    /// The runtime with accessors to its memory: makes snapshots.
    Instrumented,
}

/// The body's meaning is with each.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// The first request to a worker: how far it stands back for others.
    Settle { nice: i32 },
    /// Body: source. Answer: `Built`.
    Build { file_name: String, language: Language, manifest: Box<Manifest> },
    /// Body: a component, then machine code of it if that is known. Answer: `Inspected`.
    Inspect(Box<Inspect>),
    /// Body: a component. Answer: machine code.
    Compile,
    /// Body: `HostedModule` as JSON. Answer: machine code of the component of its own.
    Snapshot,
    /// Body: `HostedModule` as JSON. Answer: the component of its own.
    SnapshotComponent,
    /// Body: a component. Answer: a component that imports nothing of ours.
    Standalone,
    /// Compile a form of the runtime and keep it. Answer: machine code.
    Make(Artefact),
    /// Body: machine code that another worker made. Answer: `Done`.
    Adopt(Artefact),
}

/// What comes with a component.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Inspect {
    pub(crate) file_name: String,
    pub(crate) manifest: Manifest,
    /// Whether it may be made of WASI 0.3.
    pub(crate) accepts_async: bool,
    /// What of the body is the component.
    pub(crate) component_bytes: usize,
}

impl Request {
    /// The form of the runtime that a worker must hold before it takes this.
    pub(crate) fn needs(&self) -> Option<Artefact> {
        match self {
            Self::Build { language: Language::TypeScript | Language::JavaScript, .. } => Some(Artefact::Runtime),
            Self::Snapshot | Self::SnapshotComponent => Some(Artefact::Instrumented),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Response {
    Done,
    /// The body is `Built` as JSON.
    Built,
    /// The body is that, and then machine code, unless it was in the request.
    Inspected {
        built_bytes: usize,
    },
    /// The body is the answer.
    Bytes,
    Failed(BuildError),
}

impl Response {
    pub(crate) fn of_built(built: &Built) -> Result<(Self, Bytes), BuildError> {
        let body = serde_json::to_vec(built).map_err(|error| BuildError::Unavailable(format!("the answer has no JSON form: {error}")))?;
        Ok((Self::Built, body.into()))
    }
}

pub(crate) fn encode_header<T: Serialize>(header: &T, body: &[u8]) -> io::Result<Vec<u8>> {
    let header = serde_json::to_vec(header)?;
    if header.len() > FRAME_HEADER_BYTES_MAX || body.len() > FRAME_BODY_BYTES_MAX {
        return Err(too_large());
    }
    let mut start = Vec::with_capacity(8 + header.len());
    start.extend_from_slice(&length(header.len())?);
    start.extend_from_slice(&length(body.len())?);
    start.extend_from_slice(&header);
    Ok(start)
}

fn length(bytes: usize) -> io::Result<[u8; 4]> {
    u32::try_from(bytes).map(u32::to_le_bytes).map_err(|_| too_large())
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a frame is larger than its bound")
}

fn decode_lengths(bytes: [u8; 8]) -> io::Result<(usize, usize)> {
    let [a, b, c, d, e, f, g, h] = bytes;
    let header = u32::from_le_bytes([a, b, c, d]) as usize;
    let body = u32::from_le_bytes([e, f, g, h]) as usize;
    if header > FRAME_HEADER_BYTES_MAX || body > FRAME_BODY_BYTES_MAX {
        return Err(too_large());
    }
    Ok((header, body))
}

/// Reads with memory growing as bytes arrive, so that a lie about a length costs nothing.
pub(crate) fn read<T: DeserializeOwned>(input: &mut impl Read) -> io::Result<(T, Bytes)> {
    let mut lengths = [0; 8];
    input.read_exact(&mut lengths)?;
    let (header_bytes, body_bytes) = decode_lengths(lengths)?;
    let mut header = Vec::new();
    input.take(header_bytes as u64).read_to_end(&mut header)?;
    let mut body = Vec::new();
    input.take(body_bytes as u64).read_to_end(&mut body)?;
    finish(&header, (header_bytes, body_bytes), body)
}

pub(crate) fn write<T: Serialize>(output: &mut impl Write, header: &T, body: &[u8]) -> io::Result<()> {
    output.write_all(&encode_header(header, body)?)?;
    output.write_all(body)?;
    output.flush()
}

pub(crate) async fn read_async<T: DeserializeOwned>(input: &mut (impl AsyncRead + Unpin)) -> io::Result<(T, Bytes)> {
    let mut lengths = [0; 8];
    input.read_exact(&mut lengths).await?;
    let (header_bytes, body_bytes) = decode_lengths(lengths)?;
    let mut header = Vec::new();
    (&mut *input).take(header_bytes as u64).read_to_end(&mut header).await?;
    let mut body = Vec::new();
    (&mut *input).take(body_bytes as u64).read_to_end(&mut body).await?;
    finish(&header, (header_bytes, body_bytes), body)
}

pub(crate) async fn write_async<T: Serialize>(output: &mut (impl AsyncWrite + Unpin), header: &T, body: &[u8]) -> io::Result<()> {
    output.write_all(&encode_header(header, body)?).await?;
    output.write_all(body).await?;
    output.flush().await
}

fn finish<T: DeserializeOwned>(header: &[u8], lengths: (usize, usize), body: Vec<u8>) -> io::Result<(T, Bytes)> {
    if (header.len(), body.len()) != lengths {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((serde_json::from_slice(header)?, body.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_round_trip() {
        let mut pipe = Vec::new();
        write(&mut pipe, &Request::Compile, b"body").unwrap();
        write(&mut pipe, &Request::Make(Artefact::Runtime), b"").unwrap();
        let mut input = pipe.as_slice();
        let (first, body): (Request, _) = read(&mut input).unwrap();
        assert!(matches!(first, Request::Compile));
        assert_eq!(body, "body");
        let (second, body): (Request, _) = read(&mut input).unwrap();
        assert!(matches!(second, Request::Make(Artefact::Runtime)));
        assert!(body.is_empty() && input.is_empty());
    }

    #[test]
    fn lies_are_refused() {
        let huge = u32::MAX.to_le_bytes();
        let small = 2_u32.to_le_bytes();
        for (lengths, rest) in
            [([huge, small], ""), ([small, huge], "{}"), ([small, small], "{}"), ([small, [0; 4]], "{"), ([small, [0; 4]], "no")]
        {
            let frame = [lengths.concat().as_slice(), rest.as_bytes()].concat();
            assert!(read::<Request>(&mut frame.as_slice()).is_err(), "{rest:?}");
        }
    }
}
