//! There is nothing to await.

#[sandmill::main]
async fn script(name: String) -> String {
    name
}

fn main() {}
