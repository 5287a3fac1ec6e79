//! A parameter has one type.

#[sandmill::main]
fn script(name: impl Into<String>) -> String {
    name.into()
}

fn main() {}
