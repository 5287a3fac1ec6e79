//! A preprocessor takes an event.

#[sandmill::preprocessor]
fn preprocessor() -> Option<u8> {
    None
}

fn main() {}
