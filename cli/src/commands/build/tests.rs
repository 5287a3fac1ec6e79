use super::*;
use crate::{Globals, LocalRunError, LocalRunRequest, LocalRunner, LocalSession, Outbound, console::Console};

struct NoRunner;

impl LocalRunner for NoRunner {
    fn run(&self, _: LocalRunRequest) -> sandmill_model::BoxFuture<'_, Result<sandmill_model::Outcome, LocalRunError>> {
        Box::pin(async { Err(LocalRunError::Setup("none here".into())) })
    }

    fn open(&self, _: Outbound) -> sandmill_model::BoxFuture<'_, Result<Box<dyn LocalSession>, LocalRunError>> {
        Box::pin(async { Err(LocalRunError::Setup("none here".into())) })
    }
}

const COMMAND: &str = r#"(module (memory (export "memory") 1) (func (export "_start")))"#;

/// What the command printed, or the text of its fault.
fn build(options: &Options) -> Result<String, String> {
    let (console, out, _) = Console::captured(false);
    let mut session = Session { globals: Globals::default(), console, local: &NoRunner };
    match execute(options, &mut session) {
        Ok(()) => Ok(out.text()),
        Err(CliError::Input(text)) => Err(text),
        Err(other) => panic!("{other:?}"),
    }
}

fn of_folder(dir: &Path, cc: Option<&str>) -> Options {
    Options { dir: dir.to_owned(), module: None, output: None, tools: Tools { cc: cc.map(str::to_owned) } }
}

/// A project in C whose compiler is a script.
fn project(compiler: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("sandmill.toml"), "[build]\nlanguage = \"c\"\noutput = \"dist/a.wasm\"\n").unwrap();
    for part in ["include", "src", "bindings"] {
        fs::create_dir_all(at("sandmill-sdk").join(part)).unwrap();
    }
    fs::write(at("a.c"), "").unwrap();
    fs::write(at("sandmill-sdk/src/b.c"), "").unwrap();
    fs::write(at("module.wasm"), wat::parse_str(COMMAND).unwrap()).unwrap();
    fs::write(at("cc.sh"), compiler).unwrap();
    let command = format!("sh {}", at("cc.sh").display());
    (folder, command)
}

/// Copies the module to where `-o` says.
const OBEYS: &str = "echo \"$@\" > arguments\nwhile [ $# -gt 0 ]; do [ \"$1\" = -o ] && cp module.wasm \"$2\"; shift; done\n";

#[test]
fn a_project_without_a_build_has_nothing_to_build() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("sandmill.toml"), "folder = \"f/demo\"\nsource = \".\"\n").unwrap();
    assert!(build(&of_folder(folder.path(), None)).unwrap().contains("nothing to build"));
    assert!(build(&of_folder(&folder.path().join("gone"), None)).unwrap_err().contains("sandmill init"));
}

#[test]
fn what_the_compiler_makes_becomes_a_component() {
    let (folder, command) = project(OBEYS);
    let said = build(&of_folder(folder.path(), Some(&command))).unwrap();
    assert!(said.contains("dist/a.wasm"), "{said}");
    let component = fs::read(folder.path().join("dist/a.wasm")).unwrap();
    assert!(wasmparser::Parser::is_component(&component));
    let arguments = fs::read_to_string(folder.path().join("arguments")).unwrap();
    assert!(arguments.contains("-I sandmill-sdk/include -o "), "{arguments}");
    assert!(arguments.ends_with("a.c sandmill-sdk/src/b.c sandmill-sdk/bindings/imports.c\n"), "{arguments}");
    let names: Vec<_> = fs::read_dir(folder.path().join("dist")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["a.wasm"], "nothing else is left");
}

#[test]
fn a_failed_build_leaves_the_old_component() {
    let nothing = "while [ $# -gt 0 ]; do [ \"$1\" = -o ] && printf x > \"$2\"; shift; done\n";
    for (compiler, expected) in [("exit 3", "exit status: 3"), (nothing, "not a WebAssembly module"), ("", "cannot read")] {
        let (folder, command) = project(compiler);
        fs::create_dir(folder.path().join("dist")).unwrap();
        fs::write(folder.path().join("dist/a.wasm"), "old").unwrap();
        let fault = build(&of_folder(folder.path(), Some(&command))).unwrap_err();
        assert!(fault.contains(expected), "{fault}");
        assert_eq!(fs::read_to_string(folder.path().join("dist/a.wasm")).unwrap(), "old");
    }
}

#[test]
fn what_is_absent_is_explained() {
    let (folder, _) = project("");
    let fault = build(&of_folder(folder.path(), Some("no-such-compiler -x"))).unwrap_err();
    assert!(fault.contains("no-such-compiler") && fault.contains("compile C") && fault.contains("ziglang"), "{fault}");
    fs::remove_file(folder.path().join("a.c")).unwrap();
    assert!(build(&of_folder(folder.path(), Some("sh"))).unwrap_err().contains("no .c file"));
    fs::remove_dir_all(folder.path().join("sandmill-sdk")).unwrap();
    assert!(build(&of_folder(folder.path(), Some("sh"))).unwrap_err().contains("init --lang c"));
}

#[test]
fn any_core_module_may_become_a_component() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("core.wasm"), wat::parse_str(COMMAND).unwrap()).unwrap();
    let of_module = |from: &str, to: &str| {
        let mut options = of_folder(Path::new("."), None);
        options.module = Some(at(from));
        options.output = Some(at(to));
        build(&options)
    };
    of_module("core.wasm", "out/it.wasm").unwrap();
    assert!(wasmparser::Parser::is_component(&fs::read(at("out/it.wasm")).unwrap()));
    assert!(of_module("out/it.wasm", "again.wasm").unwrap_err().contains("a component already"));
    assert!(of_module("missing.wasm", "again.wasm").unwrap_err().contains("missing.wasm"));
    assert!(!at("again.wasm").exists());
}

#[test]
fn a_push_builds_what_it_is_about() {
    let (folder, command) = project(OBEYS);
    let output = folder.path().join("dist/a.wasm");
    let (console, _, _) = Console::captured(false);
    let mut session = Session { globals: Globals::default(), console, local: &NoRunner };
    let tools = Tools { cc: Some(command) };
    fs::write(folder.path().join("other.ts"), "").unwrap();
    before_use(&folder.path().join("other.ts"), &tools, &mut session).unwrap();
    assert!(!output.exists(), "that file is not what the build makes");
    for what in [folder.path(), &output] {
        let _none = fs::remove_file(&output);
        before_use(what, &tools, &mut session).unwrap();
        assert!(output.exists(), "{}", what.display());
    }
}
