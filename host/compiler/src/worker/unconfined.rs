//! A worker in the process of its caller, with no limits around it: for tests that look at more inputs than processes could be asked about.

use bytes::Bytes;
use sandmill_model::{
    Manifest,
    build::{BuildError, Built},
};

use super::serve::Server;
use crate::protocol::{Inspect, Request, Response};

/// Answers as a build worker does. What users sent goes to [`Compiler`](crate::Compiler) instead.
#[derive(Default)]
pub struct Unconfined(Server);

impl Unconfined {
    /// # Errors
    /// As of a build.
    pub fn inspect(&mut self, component: &Bytes, manifest: &Manifest) -> Result<Built, BuildError> {
        let about = Inspect {
            file_name: "component.wasm".to_owned(),
            manifest: manifest.clone(),
            accepts_async: true,
            component_bytes: component.len(),
        };
        match self.0.serve(&Request::Inspect(Box::new(about)), component) {
            (Response::Inspected { built_bytes }, answer) => serde_json::from_slice(&answer[..built_bytes])
                .map_err(|error| BuildError::Unavailable(format!("the answer is broken: {error}"))),
            (Response::Failed(error), _) => Err(error),
            (other, _) => Err(BuildError::Unavailable(format!("the answer is {other:?}"))),
        }
    }

    /// # Errors
    /// As of a build.
    pub fn compile(&mut self, component: &Bytes) -> Result<Bytes, BuildError> {
        self.ask(&Request::Compile, component)
    }

    /// # Errors
    /// As of a build.
    pub fn standalone(&mut self, component: &Bytes) -> Result<Bytes, BuildError> {
        self.ask(&Request::Standalone, component)
    }

    fn ask(&mut self, request: &Request, body: &Bytes) -> Result<Bytes, BuildError> {
        match self.0.serve(request, body) {
            (Response::Failed(error), _) => Err(error),
            (_, answer) => Ok(answer),
        }
    }
}
