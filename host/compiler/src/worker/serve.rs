//! One request at a time, on the thread with the large stack.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use sandmill_model::{
    Language,
    build::{BuildError, Built},
    version::{ComponentModel, HostedModule, ProgramSpec},
};
use wasmtime::component::Component;

use super::{
    component::{self, Inspected},
    confine,
    engines::{self, Engines},
    hosted::{Hosted, engine_failed},
    snapshot::{self, Instrumented},
    standalone,
};
use crate::{
    protocol::{Artefact, Inspect, Request, Response},
    runtime, script,
};

type Answer = Result<(Response, Bytes), BuildError>;

/// What a worker keeps between requests.
#[derive(Default)]
pub(super) struct Server {
    engines: Option<Engines>,
    hosted: Option<Hosted>,
    instrumented: Option<Instrumented>,
    is_broken: bool,
}

impl Server {
    /// A panic of a library on hostile input is an answer too, but the last one of this worker.
    pub(super) fn serve(&mut self, request: &Request, body: &Bytes) -> (Response, Bytes) {
        let answer = catch_unwind(AssertUnwindSafe(|| self.answer(request, body)));
        let answer = answer.unwrap_or_else(|panic| {
            self.is_broken = true;
            Err(BuildError::Unavailable(format!("the compiler panicked: {}", panic_text(&*panic))))
        });
        answer.unwrap_or_else(|error| (Response::Failed(error), Bytes::new()))
    }

    pub(super) fn is_broken(&self) -> bool {
        self.is_broken
    }

    fn answer(&mut self, request: &Request, body: &Bytes) -> Answer {
        match request {
            Request::Settle { nice } => {
                confine::stand_back(*nice)
                    .map_err(|error| BuildError::Unavailable(format!("a build worker could not stand back: {error}")))?;
                done()
            }
            Request::Inspect(about) => self.inspect(body, about),
            Request::Build { language: Language::Component | Language::Identity, .. } => {
                Err(BuildError::Unavailable("a build worker was given no source".to_owned()))
            }
            Request::Build { file_name, language, .. } => self.translate(file_name, *language, body),
            Request::Compile => self.compile(body),
            Request::Snapshot => {
                let component = self.snapshot(body)?;
                bytes(self.engines()?.compile(&component, ComponentModel::Sync)?)
            }
            Request::SnapshotComponent => bytes(self.snapshot(body)?),
            Request::Standalone => bytes(standalone::standalone(body)?),
            Request::Make(artefact) => self.make(*artefact),
            Request::Adopt(artefact) => {
                self.adopt(*artefact, body)?;
                done()
            }
        }
    }

    fn engines(&mut self) -> Result<&Engines, BuildError> {
        let engines = match self.engines.take() {
            Some(engines) => engines,
            None => Engines::new()?,
        };
        Ok(self.engines.insert(engines))
    }

    fn translate(&mut self, file_name: &str, language: Language, source: &[u8]) -> Answer {
        let translated = script::translate(file_name, language, source).map_err(BuildError::Diagnostics)?;
        let (Some(engines), Some(hosted)) = (&self.engines, &self.hosted) else {
            return Err(BuildError::Unavailable("a build worker was not given the runtime".to_owned()));
        };
        let text = String::from_utf8_lossy(source);
        hosted.check(engines, &translated.module, text.trim_start_matches('\u{feff}'))?;
        let program = ProgramSpec::Hosted(translated.module);
        Response::of_built(&Built { program, schema: translated.schema, warnings: translated.warnings })
    }

    fn inspect(&mut self, body: &Bytes, about: &Inspect) -> Answer {
        if about.component_bytes > body.len() {
            return Err(BuildError::Unavailable("a build worker was given half a component".to_owned()));
        }
        let (component, known) = (body.slice(..about.component_bytes), body.slice(about.component_bytes..));
        let Inspected { built, code } = component::inspect(self.engines()?, &component, &known, about)?;
        let (_, mut answer) = Response::of_built(&built).map(|(response, json)| (response, Vec::from(json)))?;
        let built_bytes = answer.len();
        answer.extend(code.unwrap_or_default());
        Ok((Response::Inspected { built_bytes }, answer.into()))
    }

    fn compile(&mut self, body: &Bytes) -> Answer {
        let model = engines::model_of(body).map_err(|fault| engines::invalid(&fault))?;
        bytes(self.engines()?.compile(body, model)?)
    }

    fn snapshot(&self, body: &Bytes) -> Result<Vec<u8>, BuildError> {
        let module: HostedModule =
            serde_json::from_slice(body).map_err(|error| BuildError::Unavailable(format!("the module is broken: {error}")))?;
        let (Some(engines), Some(instrumented)) = (&self.engines, &self.instrumented) else {
            return Err(BuildError::Unavailable("a build worker was not given the runtime".to_owned()));
        };
        instrumented.snapshot(engines, &module)
    }

    fn make(&mut self, artefact: Artefact) -> Answer {
        let engines = self.engines()?;
        let component = match artefact {
            Artefact::Runtime => engines.component(runtime::bytes(), ComponentModel::Sync),
            Artefact::Instrumented => {
                let (_, instrumented, _) = snapshot::instrument()?;
                engines.component(&instrumented, ComponentModel::Sync)
            }
        }?;
        let code = component.serialize().map_err(engine_failed)?;
        self.hold(artefact, &component)?;
        bytes(code)
    }

    fn adopt(&mut self, artefact: Artefact, code: &[u8]) -> Result<(), BuildError> {
        let component = engines::adopt(&self.engines()?.engine, code)?;
        self.hold(artefact, &component)
    }

    fn hold(&mut self, artefact: Artefact, component: &Component) -> Result<(), BuildError> {
        let engines = self.engines()?;
        match artefact {
            Artefact::Runtime => self.hosted = Some(Hosted::new(engines, component).map_err(engine_failed)?),
            Artefact::Instrumented => {
                let (context, _, wizer) = snapshot::instrument()?;
                self.instrumented = Some(Instrumented::new(engines, component, (context, wizer))?);
            }
        }
        Ok(())
    }
}

fn bytes(bytes: Vec<u8>) -> Answer {
    Ok((Response::Bytes, bytes.into()))
}

fn done() -> Answer {
    Ok((Response::Done, Bytes::new()))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("of unknown cause")
}
