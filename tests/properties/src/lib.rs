//! What must hold whatever is uploaded and whatever arguments are given. Each property takes the bytes that an input is made of, and panics where
//! it does not hold: the tests of this crate run them for seconds, the targets in `fuzz/` for as long as one likes.

#![expect(clippy::unwrap_used, reason = "a property that does not hold is a panic")]

mod bed;
mod echo;
mod generated;
mod json;
mod normal;
mod types;
mod upload;
mod values;

pub use generated::upload_generated;
pub use upload::upload;
pub use values::{values, values_bytes};
