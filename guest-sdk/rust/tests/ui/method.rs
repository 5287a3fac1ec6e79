//! A script is no method.

struct Script;

impl Script {
    #[sandmill::main]
    fn script(&self) {}
}

fn main() {}
