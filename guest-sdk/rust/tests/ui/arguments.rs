//! The attribute takes nothing.

#[sandmill::main(name = "x")]
fn script() {}

fn main() {}
