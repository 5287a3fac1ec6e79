//! Arguments are owned.

#[sandmill::main]
fn script(name: &str, count: u8) -> usize {
    name.len() * usize::from(count)
}

fn main() {}
