//! Fakes for unit tests: what the host does, on the thread of a test.
//!
//! ```
//! use sandmill::{http::Response, testing::Fakes};
//!
//! let world = Fakes::new()
//!     .variable("f/demo/region", "eu")
//!     .http(|request| Ok(Response::new(200).with_body(request.url.clone())))
//!     .install();
//! let region = sandmill::variables::get("f/demo/region").unwrap();
//! let answer = sandmill::http::get(format!("https://{region}.example.com/")).send().unwrap();
//! assert_eq!(answer.text().unwrap(), "https://eu.example.com/");
//! assert_eq!(world.requests().len(), 1);
//! ```
//!
//! State, log and output are there in every world. All else is denied until it is faked, by an error that says how.

mod fakes;
pub(crate) mod host;
mod json;
mod world;

pub use fakes::Fakes;
pub use world::{Line, World};

/// The text that stands for the secret variable at a path, or for the secret field at `path#/pointer`.
#[must_use]
pub fn placeholder(path: &str) -> String {
    format!("{{{{sandmill-secret:{path}}}}}")
}
