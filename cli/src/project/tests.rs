use super::*;

fn project(settings: &str, files: &[&str]) -> (tempfile::TempDir, Result<Project, CliError>) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(FILE_NAME), settings).unwrap();
    for file in files {
        let file = folder.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "").unwrap();
    }
    let project = Project::open(folder.path());
    (folder, project)
}

#[test]
fn every_script_has_its_path() {
    let settings =
        "folder = \"f/demo\"\nsource = \"./scripts\"\n[paths]\n\"other/x.js\" = \"u/ann/x\"\n\"scripts/b.ts\" = \"f/demo/renamed\"\n";
    let files = [
        "scripts/a.ts",
        "scripts/b.ts",
        "scripts/mail/send.mjs",
        "scripts/a.d.ts",
        "scripts/.hidden.ts",
        "scripts/node_modules/y.js",
        "scripts/notes.md",
        "other/x.js",
        "other/z.js",
    ];
    let (folder, project) = project(settings, &files);
    let project = project.unwrap();
    let entries: Vec<_> = project
        .entries()
        .unwrap()
        .into_iter()
        .map(|entry| (plain(entry.file.strip_prefix(folder.path()).unwrap()).display().to_string(), entry.path.to_string()))
        .collect();
    let expected = [
        ("scripts/a.ts", "f/demo/a"),
        ("scripts/mail/send.mjs", "f/demo/mail/send"),
        ("scripts/b.ts", "f/demo/renamed"),
        ("other/x.js", "u/ann/x"),
    ];
    assert_eq!(entries, expected.map(|(file, path)| (file.to_owned(), path.to_owned())));
    let path_of = |file: &str| project.path_of(&folder.path().join(file)).unwrap().map(|path| path.to_string());
    assert_eq!(path_of("scripts/a.ts").as_deref(), Some("f/demo/a"));
    assert_eq!(path_of("scripts/b.ts").as_deref(), Some("f/demo/renamed"));
    assert_eq!(path_of("other/z.js"), None);
}

#[test]
fn triggers_lie_beside_scripts() {
    let settings =
        "folder = \"f/demo\"\nsource = \"scripts\"\n[paths]\n\"other/x.js\" = \"u/ann/x\"\n\"other/x.trigger.toml\" = \"u/ann/hook\"\n";
    let files = [
        "scripts/a.ts",
        "scripts/a.trigger.toml",
        "scripts/a.b.trigger.toml",
        "scripts/mail/nightly.trigger.toml",
        "scripts/.a.trigger.toml",
        "other/x.js",
        "other/x.trigger.toml",
        "other/y.trigger.toml",
    ];
    let (folder, project) = project(settings, &files);
    let project = project.unwrap();
    let scripts = project.entries().unwrap();
    assert_eq!(scripts.iter().map(|entry| entry.path.as_str()).collect::<Vec<_>>(), ["f/demo/a", "u/ann/x"]);
    let triggers = project.triggers(&scripts).unwrap();
    let found: Vec<_> = triggers.iter().map(|entry| (entry.path.as_str(), entry.script.as_ref().map(ScriptPath::as_str))).collect();
    let expected = [("f/demo/a", Some("f/demo/a")), ("f/demo/a.b", None), ("f/demo/mail/nightly", None), ("u/ann/hook", Some("u/ann/x"))];
    assert_eq!(found, expected);
    let path_of = |file: &str| project.path_of_trigger(&folder.path().join(file)).unwrap().map(|path| path.to_string());
    assert_eq!(path_of("scripts/a.trigger.toml").as_deref(), Some("f/demo/a"));
    assert_eq!(path_of("other/y.trigger.toml"), None);
}

#[test]
fn a_file_finds_its_project_upwards() {
    let (folder, _) = project("folder = \"f/demo\"\nsource = \".\"\n", &["deep/down/a.ts"]);
    let file = folder.path().join("deep/down/a.ts");
    let found = Project::around(&file).unwrap().unwrap();
    assert_eq!(found.path_of(&file).unwrap().unwrap().as_str(), "f/demo/deep/down/a");
}

#[test]
fn what_is_wrong_is_said() {
    for (settings, files, expected) in [
        ("soruce = \".\"", &[][..], "unknown field"),
        ("source = \".\"", &["a.ts"], "needs `folder`"),
        ("folder = \"f/demo\"\nsource = \".\"", &[], "names no script"),
        ("folder = \"f/demo\"\nsource = \".\"", &["a b.ts"], "rename it"),
        ("folder = \"f/demo\"\nsource = \".\"", &["a.ts", "a.js"], "both go to"),
        ("folder = \"f/demo\"\nsource = \"gone\"", &[], "cannot list"),
        ("[paths]\n\"a.ts\" = \"demo/a\"", &["a.ts"], "`f` or `u`"),
        ("[build]\nlanguage = \"rust\"", &[], "output"),
        ("[build]\nlanguage = \"rust\"\noutput = \"a.wasm\"\ntarget = \"x\"", &[], "unknown field"),
        ("[build]\nlanguage = \"cobol\"\noutput = \"a.wasm\"", &[], "unknown variant"),
        ("[build]\nlanguage = \"go\"\noutput = \"../a.wasm\"", &[], "inside of the project"),
        ("[build]\nlanguage = \"go\"\noutput = \"/a.wasm\"", &[], "inside of the project"),
        ("[build]\nlanguage = \"go\"\noutput = \".\"", &[], "inside of the project"),
        ("[build]\nlanguage = \"go\"\noutput = \"dist/a\"", &[], "ends in .wasm"),
        ("[build]\nlanguage = \"c\"\noutput = \"a.wasm\"\nsources = [\"-fplugin=./evil.so\"]", &[], "end in .c"),
        ("[build]\nlanguage = \"c\"\noutput = \"a.wasm\"\nsources = [\"../x.c\"]", &[], "end in .c"),
        ("[build]\nlanguage = \"c\"\noutput = \"a.wasm\"\nsources = [\"/etc/x.c\"]", &[], "end in .c"),
        ("[build]\nlanguage = \"c\"\noutput = \"a.wasm\"\nsources = [\"@flags\"]", &[], "end in .c"),
        ("[build]\nlanguage = \"c\"\noutput = \"a.wasm\"\nsources = [\"x.o\"]", &[], "end in .c"),
        ("[build]\nlanguage = \"go\"\noutput = \"a.wasm\"\nsources = [\"a.go\"]", &[], "`sources` is for C"),
    ] {
        let (_folder, project) = project(settings, files);
        let error = project.and_then(|project| project.entries()).unwrap_err();
        assert!(format!("{error:?}").contains(expected), "{settings}: {error:?}");
    }
}

#[test]
fn a_build_and_what_it_makes() {
    let settings = "[build]\nlanguage = \"c\"\noutput = \"./dist/a.wasm\"\nsources = [\"a.c\"]\n[paths]\n\"dist/a.wasm\" = \"f/demo/a\"\n";
    let (folder, project) = project(settings, &[]);
    let project = project.unwrap();
    let expected = Build { language: Compiled::C, output: "./dist/a.wasm".into(), sources: vec!["a.c".into()] };
    assert_eq!(project.build(), Some(&expected));
    for (file, is_made) in [("dist/a.wasm", true), ("./dist/./a.wasm", true), ("a.wasm", false), ("dist/b.wasm", false)] {
        assert_eq!(project.makes(&folder.path().join(file)), is_made, "{file}");
    }
    assert_eq!(project.entries().unwrap()[0].path.as_str(), "f/demo/a");
}
