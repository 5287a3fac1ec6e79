// Rust's functions. The object is taken from the global before any script can see it.
export const native = globalThis.__native;
