//! With several parameters each has a name.

#[sandmill::main]
fn script((a, b): (u8, u8), c: u8) -> u8 {
    a + b + c
}

fn main() {}
