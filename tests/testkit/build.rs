//! Lists the guests of the interfaces, so that one without a test does not compile.

use std::{env, fs, path::Path};

fn main() {
    let guests = Path::new("../guests/interfaces");
    println!("cargo::rerun-if-changed={}", guests.display());
    let folders = fs::read_dir(guests).expect("the guests of the interfaces").map(|entry| entry.expect("a folder of them"));
    // `calls` is what they have in common.
    let mut names: Vec<String> =
        folders.filter_map(|folder| folder.file_name().into_string().ok()).filter(|name| name != "calls").collect();
    names.sort();
    let calls: String = names.iter().map(|name| format!("$each!({name});")).collect();
    let text = format!("#[macro_export]\nmacro_rules! for_each_interface {{ ($each:ident) => {{ {calls} }}; }}\n");
    let file = Path::new(&env::var_os("OUT_DIR").expect("cargo sets it")).join("interfaces.rs");
    fs::write(file, text).expect("a file beside the crate's others");
}
