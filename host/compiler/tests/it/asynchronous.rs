//! Components of WASI 0.3: taken where they are run, and refused elsewhere with what to do.

use std::fs;

use sandmill_compiler::{Compiler, Options};
use sandmill_model::{
    Language::Component,
    build::{BuildError, Builder as _},
    version::{ComponentModel, Entry, ProgramSpec},
};
use sandmill_testkit::guests::guest;

use crate::{build, options, request, wait};

#[test]
fn they_are_refused_unless_the_operator_takes_them() {
    let bytes = fs::read(guest("http_async")).unwrap();
    let Err(BuildError::InvalidComponent(message)) = build(Component, bytes) else { panic!("it was taken") };
    assert!(message.contains("--wasi 0.3") && message.contains("wasm32-wasip2"), "{message}");
}

#[test]
fn handlers_are_found_and_compiled() {
    let compiler = Compiler::new(Options { accepts_async: true, workers: 1, ..options() });
    let bytes = fs::read(guest("http_async")).unwrap();
    let built = wait(compiler.build(request(Component, bytes.clone()))).unwrap();
    let ProgramSpec::Component { entry, model, .. } = &built.program else { panic!("{built:?}") };
    assert_eq!((entry, *model), (&Entry::Http, ComponentModel::Async));
    assert!(built.program.takes_events());
    let warned: Vec<_> = built.warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert!(warned.len() == 1 && warned[0].contains("wasi:http/client@0.3"), "{warned:?}");
    let first = wait(compiler.compile(bytes.clone().into())).unwrap();
    assert_eq!(first, wait(compiler.compile(bytes.into())).unwrap(), "what was kept, and what is compiled anew");
    let sync = wait(compiler.build(request(Component, fs::read(guest("http_hello")).unwrap()))).unwrap();
    let ProgramSpec::Component { model, .. } = &sync.program else { panic!("{sync:?}") };
    assert_eq!(*model, ComponentModel::Sync, "nothing else becomes slower by it");
}

#[test]
fn what_only_looks_like_one_is_refused() {
    let compiler = Compiler::new(Options { accepts_async: true, workers: 1, ..options() });
    let refused = |text: &str| match wait(compiler.build(request(Component, wat::parse_str(text).unwrap()))) {
        Err(BuildError::InvalidComponent(message)) => message,
        other => panic!("{other:?}"),
    };
    let handler = r#"(component
        (core module $m (func (export "handle")))
        (core instance $i (instantiate $m))
        (func $handle (canon lift (core func $i "handle")))
        (instance $h (export "handle" (func $handle)))
        (export "wasi:http/handler@0.3.0" (instance $h)))"#;
    assert!(refused(handler).contains("another type"), "{}", refused(handler));
    let inside = r#"(component (component (core func (canon waitable-set.new))) (core func (canon waitable-set.new)))"#;
    assert!(refused(inside).contains("one component"), "{}", refused(inside));
}
