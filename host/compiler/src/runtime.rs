//! The JavaScript runtime that is part of this program: a component, compressed.

use std::sync::LazyLock;

use bytes::Bytes;
use sandmill_model::Digest;

const COMPRESSED: &[u8] = include_bytes!("../../../runtimes/javascript/dist/runtime.wasm.zst");

/// Decompressed once. A test sees to it that the embedded runtime is whole; of a broken one nothing would be left, and
/// every compile would say so.
static COMPONENT: LazyLock<Bytes> = LazyLock::new(|| zstd::decode_all(COMPRESSED).unwrap_or_default().into());

pub(crate) fn component() -> Bytes {
    COMPONENT.clone()
}

pub(crate) fn bytes() -> &'static [u8] {
    &COMPONENT
}

pub(crate) fn digest() -> Digest {
    static DIGEST: LazyLock<Digest> = LazyLock::new(|| Digest::of(bytes()));
    *DIGEST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_runtime_is_whole() {
        assert!(wasmparser::Parser::is_component(&component()));
        assert_ne!(digest(), Digest::of(b""));
    }
}
