//! Fields of a type have their own attributes.

#[sandmill::main]
fn script(#[serde(default)] args: Vec<u8>) -> usize {
    args.len()
}

fn main() {}
