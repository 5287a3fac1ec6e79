//! Sizes the stack that C and Rust code of the runtime use.

fn main() {
    // QuickJS is told to use less than this (engine.rs), so a deep recursion becomes a RangeError.
    println!("cargo:rustc-link-arg=-zstack-size=1048576");
    println!("cargo:rerun-if-changed=build.rs");
}
