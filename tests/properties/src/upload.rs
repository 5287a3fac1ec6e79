//! Uploads: refused with a reason that is the uploader's, or built, and then all that a server asks of a component works.

use std::{panic, thread};

use bytes::Bytes;
use sandmill_compiler::{Unconfined, limits};
use sandmill_model::{
    Digest, Manifest,
    build::BuildError,
    schema::Schema,
    version::{Entry, ProgramSpec},
};
use sandmill_sandbox::ProgramKey;

use crate::bed::bed;

/// Returns whether it is taken.
pub fn upload(data: &[u8]) -> bool {
    let component = Bytes::copy_from_slice(data);
    // Where workers build there is as much stack.
    let builder = thread::Builder::new().stack_size(limits::WORKER_STACK_BYTES);
    let checked = builder.spawn(move || check(&component)).unwrap().join();
    checked.unwrap_or_else(|cause| panic::resume_unwind(cause))
}

fn check(component: &Bytes) -> bool {
    let mut worker = Unconfined::default();
    let built = match worker.inspect(component, &Manifest::default()) {
        Ok(built) => built,
        Err(error) => {
            check_refused(&error);
            return false;
        }
    };
    Schema::compile(&built.schema.read().unwrap()).unwrap();
    let digest = Digest::of(component);
    let ProgramSpec::Component { component: named, entry, model } = &built.program else { panic!("no component: {built:?}") };
    assert_eq!(named, &digest);
    let code = worker.compile(component).unwrap();
    // More than a run can have of something is found here.
    let _refused = bed().install(ProgramKey { model: *model, ..digest.into() }, &code).err();
    if let Entry::Function { export } = entry {
        let manifest = Manifest { export: Some(export.clone()), ..Manifest::default() };
        assert_eq!(worker.inspect(component, &manifest).unwrap(), built, "by its name it is another one");
    }
    if let Err(error) = worker.standalone(component) {
        check_refused(&error);
    }
    // As after its code was dropped from the cache.
    Unconfined::default().compile(component).unwrap();
    true
}

fn check_refused(error: &BuildError) {
    match error {
        BuildError::InvalidComponent(message) | BuildError::LimitReached(message) => assert!(!message.is_empty()),
        other => panic!("it is refused for what is no fault of its own: {other:?}"),
    }
}
