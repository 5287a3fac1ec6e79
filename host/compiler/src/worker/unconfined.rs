//! A worker in the process of its caller, with no limits around it: for tests that look at more inputs than processes could be asked about.

use bytes::Bytes;
use sandmill_model::{
    Language, Manifest,
    build::{BuildError, Built},
};

use super::serve::Server;
use crate::protocol::{Request, Response};

/// Answers as a build worker does. What users sent goes to [`Compiler`](crate::Compiler) instead.
#[derive(Default)]
pub struct Unconfined(Server);

impl Unconfined {
    /// # Errors
    /// As of a build.
    pub fn inspect(&mut self, component: &Bytes, manifest: &Manifest) -> Result<Built, BuildError> {
        let manifest = Box::new(manifest.clone());
        let request =
            Request::Build { file_name: "component.wasm".to_owned(), language: Language::Component, manifest, accepts_async: true };
        let built = self.ask(&request, component)?;
        serde_json::from_slice(&built).map_err(|error| BuildError::Unavailable(format!("the answer is broken: {error}")))
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
