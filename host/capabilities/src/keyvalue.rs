//! `wasi:keyvalue/store`, for components that know nothing of us: the script's state. Values are bytes there and JSON here: bytes that are JSON are kept
//! as they are, others as `{"$bytes": "<base64>"}`.

use base64::{Engine, engine::general_purpose::STANDARD};
use sandmill_model::JsonText;
use sandmill_sandbox::Guest;
use serde::{Deserialize, Serialize};
use wasmtime::{Result, component::Resource};

use crate::{
    Host,
    bindings::{
        keyvalue::{Error, Host as Store, HostBucket, KeyResponse},
        state::Error as StateError,
    },
    state,
};

/// The name of the only bucket; an empty one means the same.
const NAME: &str = "default";
/// Keys of one page.
const PAGE_KEYS: u32 = 1_000;

/// The script's state, and where the pages of its keys end that were listed.
#[derive(Default)]
#[expect(unreachable_pub, reason = "the bindings pass it on as public")]
pub struct Bucket {
    ends: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bytes {
    #[serde(rename = "$bytes")]
    base64: String,
}

type Answer<T> = Result<Result<T, Error>>;

impl Store for Guest<Host> {
    async fn open(&mut self, identifier: String) -> Answer<Resource<Bucket>> {
        self.pace().await;
        if !matches!(identifier.as_str(), "" | NAME) {
            return Ok(Err(Error::NoSuchStore));
        }
        Ok(Ok(self.table().push(Bucket::default())?))
    }
}

impl HostBucket for Guest<Host> {
    async fn get(&mut self, _: Resource<Bucket>, key: String) -> Answer<Option<Vec<u8>>> {
        self.pace().await;
        let found = state::get(&self.host, key).await;
        Ok(found.map(|value| value.map(|json| bytes(&json))).map_err(Into::into))
    }

    async fn set(&mut self, _: Resource<Bucket>, key: String, value: Vec<u8>) -> Answer<()> {
        self.pace().await;
        let value = match json(value) {
            Ok(value) => value,
            Err(error) => return Ok(Err(error)),
        };
        Ok(state::put(&self.host, key, None, Some(value)).await.map(drop).map_err(Into::into))
    }

    async fn delete(&mut self, _: Resource<Bucket>, key: String) -> Answer<()> {
        self.pace().await;
        Ok(state::put(&self.host, key, None, None).await.map(drop).map_err(Into::into))
    }

    async fn exists(&mut self, _: Resource<Bucket>, key: String) -> Answer<bool> {
        self.pace().await;
        Ok(state::get(&self.host, key).await.map(|value| value.is_some()).map_err(Into::into))
    }

    async fn list_keys(&mut self, bucket: Resource<Bucket>, cursor: Option<u64>) -> Answer<KeyResponse> {
        self.pace().await;
        let after = match cursor {
            None => None,
            Some(page) => match usize::try_from(page).ok().and_then(|page| self.table().get(&bucket).ok()?.ends.get(page).cloned()) {
                Some(end) => Some(end),
                None => return Ok(Err(Error::Other(format!("this bucket gave no cursor {page}")))),
            },
        };
        let keys = match state::keys(&self.host, String::new(), after, PAGE_KEYS).await {
            Ok(keys) => keys,
            Err(error) => return Ok(Err(error.into())),
        };
        let bucket = self.table().get_mut(&bucket)?;
        let cursor = match keys.last() {
            Some(end) if keys.len() as u64 == u64::from(PAGE_KEYS) => {
                let known = bucket.ends.iter().position(|known| known == end);
                let page = known.unwrap_or_else(|| {
                    bucket.ends.push(end.clone());
                    bucket.ends.len() - 1
                });
                Some(page as u64)
            }
            _ => None,
        };
        Ok(Ok(KeyResponse { keys, cursor }))
    }

    async fn drop(&mut self, bucket: Resource<Bucket>) -> Result<()> {
        self.table().delete(bucket)?;
        Ok(())
    }
}

fn json(value: Vec<u8>) -> Result<JsonText, Error> {
    let text = match String::from_utf8(value) {
        Ok(text) => text,
        Err(error) => return wrapped(error.as_bytes()),
    };
    // What looks like wrapped bytes is wrapped itself, or it would come back as something else.
    match JsonText::parse(text.as_str()) {
        Ok(json) if json.read::<Bytes>().is_err() => state::within_limit(json).map_err(Into::into),
        _ => wrapped(text.as_bytes()),
    }
}

fn wrapped(bytes: &[u8]) -> Result<JsonText, Error> {
    let json = JsonText::of(&Bytes { base64: STANDARD.encode(bytes) }).map_err(|error| Error::Other(error.to_string()))?;
    state::within_limit(json).map_err(Into::into)
}

fn bytes(json: &JsonText) -> Vec<u8> {
    let wrapped = json.read::<Bytes>().ok().and_then(|bytes| STANDARD.decode(bytes.base64).ok());
    wrapped.unwrap_or_else(|| json.as_str().as_bytes().to_vec())
}

impl From<StateError> for Error {
    fn from(error: StateError) -> Self {
        match error {
            StateError::InvalidKey(text) | StateError::InvalidJson(text) | StateError::TooLarge(text) | StateError::Unavailable(text) => {
                Self::Other(text)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_as_they_went() {
        for value in
            [&b""[..], b"plain", b"{\"a\": 1}", b"5", b"\"x\"", b"\xff\x00", b"{\"$bytes\":\"AAEC\"}", b"{\"$bytes\":1}", b" [1, 2] "]
        {
            assert_eq!(bytes(&json(value.to_vec()).unwrap()), value, "{value:?}");
        }
        assert_eq!(json(b"{\"a\": 1}".to_vec()).unwrap().as_str(), "{\"a\": 1}", "what is JSON stays readable as state");
    }
}
