//! What wit-bindgen generates from the WIT packages.

wit_bindgen::generate!({
    path: [
        "../../wit/script",
        "../../wit/context",
        "../../wit/log",
        "../../wit/output",
        "../../wit/state",
        "../../wit/runs",
        "../../wit/resources",
        "../../wit/variables",
        "../../wit/sql",
        "../../wit/blob",
        "../../wit/publish",
        "../../wit/guest",
        "wit",
    ],
    world: "sandmill:runtime/javascript-uninitialised",
    generate_all,
    pub_export_macro: true,
});
