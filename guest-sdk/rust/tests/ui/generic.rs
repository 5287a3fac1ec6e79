//! The host knows no types.

#[sandmill::main]
fn script<T>(name: T) -> T {
    name
}

fn main() {}
