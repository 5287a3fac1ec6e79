//! Prints the description of the API: `cargo run -p sandmill-api --example openapi > host/api/openapi.json`.

fn main() {
    print!("{}", sandmill_api::openapi());
}
