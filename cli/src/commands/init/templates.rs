//! The files of a new project in each language.

use clap::ValueEnum;

use super::sdk;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lang {
    #[value(alias = "ts")]
    Typescript,
    #[value(alias = "js")]
    Javascript,
    #[value(alias = "rs")]
    Rust,
    #[value(alias = "golang")]
    Go,
    C,
}

/// In templates, for the folder that scripts are deployed in.
const FOLDER_MARK: &str = "FOLDER";
/// In the template of the settings.
const LANGUAGE_MARK: &str = "LANGUAGE";
/// In the template of the read-me: where the script is.
const SCRIPT_MARK: &str = "SCRIPT";

const TYPES: &str = include_str!("../../../../guest-sdk/typescript/sandmill.d.ts");
const GLOBALS: &str = include_str!("../../../../guest-sdk/typescript/sandmill.globals.d.ts");
const TYPESCRIPT: &str = include_str!("../../../templates/hello.ts");
const JAVASCRIPT: &str = include_str!("../../../templates/hello.js");
const ARGUMENTS: &str = include_str!("../../../templates/hello.args.json");
const CASES: &str = include_str!("../../../templates/hello.case.json");
const TSCONFIG: &str = include_str!("../../../templates/tsconfig.json");
const SETTINGS: &str = include_str!("../../../templates/sandmill.toml");
const SETTINGS_COMPILED: &str = include_str!("../../../templates/compiled.toml");
const README: &str = include_str!("../../../templates/README.md");
const IGNORED: &str = include_str!("../../../templates/gitignore");
const CARGO: &str = include_str!("../../../templates/rust/manifest.toml");
const RUST: &str = include_str!("../../../templates/rust/lib.rs");
const GO_MODULE: &str = include_str!("../../../templates/go/module.txt");
const GO: &str = include_str!("../../../templates/go/main.go");
const GO_TEST: &str = include_str!("../../../templates/go/main_test.go");
const C: &str = include_str!("../../../templates/c/hello.c");

impl Lang {
    /// The example script, relative to the project.
    pub(super) const fn script(self) -> &'static str {
        match self {
            Self::Typescript => "scripts/hello.ts",
            Self::Javascript => "scripts/hello.js",
            Self::Rust => "src/lib.rs",
            Self::Go => "main.go",
            Self::C => "hello.c",
        }
    }

    /// The name in `[build]`; none if the server compiles it.
    pub(super) const fn compiled(self) -> Option<&'static str> {
        match self {
            Self::Typescript | Self::Javascript => None,
            Self::Rust => Some("rust"),
            Self::Go => Some("go"),
            Self::C => Some("c"),
        }
    }
}

/// Names relative to the project, and texts; the script first.
pub(super) fn files(lang: Lang, folder: &str) -> Vec<(String, String)> {
    let mut files: Vec<(&str, &str)> = match lang {
        Lang::Typescript => vec![(lang.script(), TYPESCRIPT)],
        Lang::Javascript => vec![(lang.script(), JAVASCRIPT)],
        Lang::Rust => vec![(lang.script(), RUST), ("Cargo.toml", CARGO)],
        Lang::Go => vec![(lang.script(), GO), ("main_test.go", GO_TEST), ("go.mod", GO_MODULE)],
        Lang::C => vec![(lang.script(), C)],
    };
    let settings = match lang.compiled() {
        None => {
            files.extend([("scripts/hello.args.json", ARGUMENTS), ("scripts/hello.case.json", CASES)]);
            files.extend([("sandmill.d.ts", TYPES), ("sandmill.globals.d.ts", GLOBALS), ("tsconfig.json", TSCONFIG)]);
            SETTINGS.replace(FOLDER_MARK, folder)
        }
        Some(language) => {
            files.push(("hello.case.json", CASES));
            SETTINGS_COMPILED.replace(FOLDER_MARK, folder).replace(LANGUAGE_MARK, language)
        }
    };
    files.push((".gitignore", IGNORED));
    let mut files: Vec<(String, String)> = files.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
    files.push(("sandmill.toml".to_owned(), settings));
    files.push(("README.md".to_owned(), README.replace(FOLDER_MARK, folder).replace(SCRIPT_MARK, lang.script())));
    files.extend(match lang {
        Lang::Typescript | Lang::Javascript => Vec::new(),
        Lang::Rust => sdk::rust(),
        Lang::Go => sdk::go(),
        Lang::C => sdk::c(),
    });
    files
}
