use std::fs;

use super::{
    imports::{find, quoted},
    rewrite::{entry, rewrite},
    *,
};

fn found(text: &str, language: Language) -> Found {
    find(text, language).unwrap()
}

/// The script without what is appended to it.
fn rewritten(text: &str) -> String {
    let whole = rewrite(text, &found(text, Language::TypeScript), "BUNDLE");
    whole.split("\n// What it imports").next().unwrap().to_owned()
}

#[test]
fn statements_become_spaces_on_their_lines() {
    for (text, expected) in [
        ("import a from 'x'; a();", "const { i0_0: a } = __sandmill_bundle(); a();"),
        ("import 'x'\nrun()", "__sandmill_bundle();\nrun()"),
        (
            "// head\nimport {\n  a,\n  b as c,\n} from \"x\"; // why\nexport const d = a + c;",
            "// head\nconst { i0_0: a, i0_1: c } = __sandmill_bundle();\n    \n         \n            // why\nexport const d = a + c;",
        ),
        (
            "import a, * as b from 'x';\nimport d, { default as e } from 'y';\nf(a, b, d, e)",
            "const { i0_0: a, i0_1: b, i1_0: d, i1_1: e } = __sandmill_bundle();\n;                                  \nf(a, b, d, e)",
        ),
        // Hoisted before what uses it; functions are there anyway.
        (
            "export function main() { return a; }\nfirst(a)\nimport a from 'x'\n[a].at(0)",
            "export function main() { return a; }\nconst { i0_0: a } = __sandmill_bundle();first(a)\n;                \n[a].at(0)",
        ),
        ("'use strict'; import a from 'x'; a()", "'use strict'; const { i0_0: a } = __sandmill_bundle(); a()"),
        ("#!/usr/bin/env x\nimport a from 'ü';\na()", "#!/usr/bin/env x\nconst { i0_0: a } = __sandmill_bundle();\na()"),
        ("import { 'a b' as c } from 'x'; c()", "const { i0_0: c } = __sandmill_bundle(); c()"),
        // As the server erases it.
        ("import a, { type B, C } from 'x'; let x: C = a", "const { i0_0: a } = __sandmill_bundle(); let x: C = a"),
        (
            "import type { T } from 't';\nimport a from 'x';\na()",
            "import type { T } from 't';\nconst { i0_0: a } = __sandmill_bundle();\na()",
        ),
    ] {
        let text = rewritten(text);
        assert_eq!(text.lines().map(str::trim_end).collect::<Vec<_>>(), expected.lines().map(str::trim_end).collect::<Vec<_>>());
    }
}

#[test]
fn what_stands_behind_a_long_import_does_not_move() {
    let text = "import { a } from 'a-package-with-a-rather-long-name/and/a/path'; fail(a);";
    assert_eq!(rewritten(text).find("fail"), text.find("fail"));
}

#[test]
fn what_needs_no_bundling_is_left_alone() {
    for text in [
        "import { state } from 'sandmill'; export { state as x } from 'sandmill'; export * from 'sandmill'; state",
        "import type { A } from 'x'; import { type B } from 'x'; export type { C } from 'x'; export { type D } from 'x';",
        "import { A, B as C } from './types'; export function main(a: A, c: C.D) {}",
        "import './x' as y",
    ] {
        assert!(find(text, Language::TypeScript).is_none_or(|found| found.imports.is_empty()), "{text}");
    }
    assert_eq!(found("import { a } from './x';", Language::JavaScript).imports.len(), 1, "JavaScript has no types");
    assert_eq!(found("import { a } from './x'; export { a };", Language::TypeScript).imports.len(), 1);
    assert!(!may_import("export function main() {}"));
}

#[test]
fn the_bundle_follows_the_script() {
    let text =
        "import a from 'x';\nexport { b as preprocessor } from './b';\nexport * as c from './c';\nexport const main = () => a; // end";
    let found = found(text, Language::TypeScript);
    let entries = ["export { default as i0_0 } from \"x\";", "export { b as i1_0 } from \"./b\";", "export * as i2_0 from \"./c\";"];
    assert_eq!(entry(&found).lines().collect::<Vec<_>>(), entries);
    let whole = rewrite(text, &found, "var __sandmill_exports = __sandmill_module;\n");
    let expected = "const { i0_0: a, i1_0: __sandmill_i1_0, i2_0: __sandmill_i2_0 } = __sandmill_bundle();";
    assert!(whole.starts_with(expected), "{whole}");
    let end = "// end\n// What it imports, bundled by esbuild.\nfunction __sandmill_bundle() {\nvar __sandmill_exports = __sandmill_module;\n\
               return __sandmill_exports;\n}\nimport __sandmill_module from \"sandmill\";\n\
               export { __sandmill_i1_0 as preprocessor, __sandmill_i2_0 as c };\n";
    assert!(whole.ends_with(end), "{whole}");
}

#[test]
fn attributes_and_odd_names_go_along() {
    let found = found("import d from './d.json' with { type: 'json' }; import './\\'\"'; d; let __sandmill = 1", Language::TypeScript);
    let lines = ["export { default as i0_0 } from \"./d.json\" with { \"type\": \"json\" };", "import \"./'\\\"\";"];
    assert_eq!(entry(&found).lines().collect::<Vec<_>>(), lines);
    assert_eq!(found.prefix, "__sandmill_");
    assert_eq!(quoted("a\"b"), "\"a\\\"b\"");
}

#[test]
fn names_of_its_own_are_not_those_of_the_script() {
    let many = "_".repeat(1_000_000);
    for (name, expected) in [
        ("sandmill", 0),
        ("__sandmill", 1),
        ("__sandmill_a", 2),
        ("a__sandmill__sandmill", 3),
        ("__sandmill___ + __sandmill_", 4),
        (format!("__sandmill{many}").as_str(), 1_000_001),
    ] {
        let prefix = found(&format!("import d from 'd'; d + {name};"), Language::TypeScript).prefix;
        assert_eq!(prefix.strip_prefix("__sandmill").map(str::len), Some(expected), "{}", &name[..name.len().min(40)]);
    }
}

#[test]
fn main_must_be_in_the_script() {
    for (text, place) in [("export { main } from './x';", 9), ("export { x as main } from './x';", 9), ("\nexport * from './x';", 1)] {
        let faults = found(text, Language::TypeScript).faults;
        assert_eq!(faults.iter().map(|fault| fault.0).collect::<Vec<_>>(), [place], "{text}");
    }
}

#[test]
fn globals_stay_globals() {
    let script = found("import a from 'x'; const URL = 1, process = 2; a();", Language::TypeScript);
    let guarded = guard::guard("var x = new URL(process, Response, globalThis); var y = __sandmill_module;", &script, Language::TypeScript);
    assert!(guarded.unwrap().starts_with("const { URL, process } = globalThis;\nvar x"));
    let nothing = guard::guard("var x = Response;", &script, Language::TypeScript).unwrap();
    assert_eq!(nothing, "var x = Response;");
}

#[test]
fn comparisons_are_not_type_arguments() {
    let script = found("import a from 'x'; a();", Language::TypeScript);
    let code = "f(p < q, r > (s + t)); g(p < q);";
    assert_eq!(guard::guard(code, &script, Language::JavaScript).unwrap(), code);
    assert_eq!(guard::guard(code, &script, Language::TypeScript).unwrap(), "f((p < q), r > (s + t)); g((p < q));");
    assert!(guard::guard("let = ;", &script, Language::TypeScript).unwrap_err().contains("JavaScript"));
}

#[tokio::test]
async fn without_imports_nothing_is_needed() {
    let bundler = Bundler { esbuild: Some(PathBuf::from("/nowhere/esbuild")) };
    let made = async |text: &str| {
        let source = Source { file: Path::new("hello.ts"), language: Language::TypeScript, bytes: text.as_bytes(), bytes_max: 1_000 };
        bundle(source, &bundler).await.source
    };
    for text in ["export function main() {}", "import { state } from 'sandmill'; state", "import { from", "import type { A } from './a'"] {
        assert!(matches!(made(text).await, Ok(None)), "{text}");
    }
    let error = format!("{:?}", made("import a from 'left-pad'; a").await.unwrap_err());
    assert!(error.contains("left-pad") && error.contains("npm install --save-dev esbuild"), "{error}");
}

#[tokio::test]
async fn another_program_is_told_from_esbuild() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hello.ts");
    let text = "import { a } from './a'; a()";
    let made = async |program: &str| {
        let source = Source { file: &file, language: Language::TypeScript, bytes: text.as_bytes(), bytes_max: 1_000 };
        bundle(source, &Bundler { esbuild: Some(PathBuf::from(program)) }).await
    };
    let Bundled { source, inputs } = made("true").await;
    assert!(format!("{:?}", source.unwrap_err()).contains("is it esbuild?"));
    assert!(inputs.contains(&folder.path().join("a.ts")), "what may mend it is watched: {inputs:?}");
    assert!(format!("{:?}", made("false").await.source.unwrap_err()).contains("ended with"));
}

#[test]
fn metafiles_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let scripts = folder.path().join("scripts");
    let temporary = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("node_modules/x")).unwrap();
    fs::create_dir_all(&scripts).unwrap();
    fs::create_dir(folder.path().join(".git")).unwrap();
    for file in ["scripts/a.ts", "util.ts", "node_modules/x/x.js"] {
        fs::write(folder.path().join(file), "").unwrap();
    }
    let text = r#"{"inputs": {"<stdin>": {"bytes": 1}, "../util.ts": {"bytes": 1}, "../node_modules/x/x.js": {"bytes": 1}},
        "outputs": {"out.js": {"bytes": 9, "inputs": {"../util.ts": {"bytesInOutput": 3}, "../node_modules/x/x.js": {"bytesInOutput": 5}}}}}"#;
    let read = metafile::Metafile::read(text, &scripts.join("a.ts"), temporary.path()).unwrap();
    assert_eq!(read.inputs, BTreeSet::from([folder.path().join("util.ts")]));
    assert_eq!(read.largest, ["../node_modules/x/x.js (5 bytes)", "../util.ts (3 bytes)"]);
    assert!(!read.imports_script);
    assert!(metafile::Metafile::read(&text.replace("../util.ts", "a.ts"), &scripts.join("a.ts"), temporary.path()).unwrap().imports_script);
    let elsewhere = tempfile::tempdir().unwrap();
    let secret = fs::canonicalize(elsewhere.path()).unwrap().join("config.json");
    fs::write(&secret, "{}").unwrap();
    let text = text.replace("../util.ts", secret.to_str().unwrap());
    let error = format!("{:?}", metafile::Metafile::read(&text, &scripts.join("a.ts"), temporary.path()).unwrap_err());
    assert!(error.contains(secret.to_str().unwrap()) && error.contains("copy it into the project"), "{error}");
    for (path, expected) in [("./a/../b", "./b"), ("../a/./b", "../a/b"), ("a/b/../../../c", "../c"), ("/a/../b", "/b")] {
        assert_eq!(metafile::plain(Path::new(path)), Path::new(expected), "{path}");
    }
}
