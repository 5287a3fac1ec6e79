//! SHA-1, SHA-2 and HMAC for `crypto.subtle`.

use crate::bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use rquickjs::{Ctx, Exception, Object, Result, prelude::Func};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};

pub fn add<'js>(_ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("digest", Func::from(digest))?;
    native.set("hmac", Func::from(hmac))?;
    native.set("equalInConstantTime", Func::from(equal))
}

fn digest<'js>(ctx: Ctx<'js>, name: String, data: Bytes<'js>) -> Result<Bytes<'js>> {
    let data = data.as_slice();
    let hash = match name.as_str() {
        "SHA-1" => Sha1::digest(data).to_vec(),
        "SHA-256" => Sha256::digest(data).to_vec(),
        "SHA-384" => Sha384::digest(data).to_vec(),
        "SHA-512" => Sha512::digest(data).to_vec(),
        _ => return Err(unsupported(&ctx, &name)),
    };
    Bytes::copy_of(ctx, hash)
}

fn hmac<'js>(ctx: Ctx<'js>, name: String, key: Bytes<'js>, data: Bytes<'js>) -> Result<Bytes<'js>> {
    let (key, data) = (key.as_slice(), data.as_slice());
    let code = match name.as_str() {
        "SHA-1" => code::<Hmac<Sha1>>(key, data),
        "SHA-256" => code::<Hmac<Sha256>>(key, data),
        "SHA-384" => code::<Hmac<Sha384>>(key, data),
        "SHA-512" => code::<Hmac<Sha512>>(key, data),
        _ => return Err(unsupported(&ctx, &name)),
    };
    Bytes::copy_of(ctx, code)
}

fn code<M: Mac + KeyInit>(key: &[u8], data: &[u8]) -> Vec<u8> {
    // An HMAC key may have any length.
    let Ok(mac) = <M as KeyInit>::new_from_slice(key) else {
        return Vec::new();
    };
    mac.chain_update(data).finalize().into_bytes().to_vec()
}

/// Takes as long wherever the first difference is, so that a signature cannot be guessed byte by byte.
fn equal<'js>(left: Bytes<'js>, right: Bytes<'js>) -> bool {
    let (left, right) = (left.as_slice(), right.as_slice());
    let differences = left.iter().zip(right).fold(0, |all, (left, right)| all | (left ^ right));
    left.len() == right.len() && std::hint::black_box(differences) == 0
}

fn unsupported(ctx: &Ctx<'_>, name: &str) -> rquickjs::Error {
    Exception::throw_dom(ctx, "NotSupportedError", &format!("unsupported hash {name}"))
}
