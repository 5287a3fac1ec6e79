//! Manifests and indexes: which layer of them is the component.

use sandmill_model::Digest;
use serde::Deserialize;

/// What is asked for: everything that can be read.
pub(super) const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";
/// Layers that are components: of the CNCF's layout for wasm, and of the one before it.
const COMPONENTS: [&str; 2] = ["application/wasm", "application/vnd.wasm.content.layer.v1+wasm"];
/// What a message shows of a list, and of one of its entries.
const SHOWN_MAX: usize = 5;
const SHOWN_CHARACTERS_MAX: usize = 80;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    media_type: Option<String>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default)]
    media_type: String,
    pub(super) digest: Digest,
    pub(super) size: u64,
    platform: Option<Platform>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Platform {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
}

#[derive(Debug)]
pub(super) enum Content {
    Component(Descriptor),
    /// Of another manifest.
    Index(Digest),
}

/// # Errors
/// What was found in the place of a component.
pub(super) fn read(document: &Document) -> Result<Content, String> {
    match (&document.layers, &document.manifests) {
        (Some(layers), None) => component(layers).map(Content::Component),
        (None, Some(entries)) => entry(entries).map(Content::Index),
        (Some(_), Some(_)) => Err("its manifest says that it is an index, too".to_owned()),
        (None, None) => {
            let found = document.media_type.as_deref().map_or_else(|| "a document without a type".to_owned(), cut);
            Err(format!("it is neither a manifest nor an index, but {found}"))
        }
    }
}

fn component(layers: &[Descriptor]) -> Result<Descriptor, String> {
    match layers {
        [layer] if COMPONENTS.contains(&layer.media_type.as_str()) => Ok(layer.clone()),
        layers => {
            let found = shown(layers.iter().map(|layer| layer.media_type.as_str()));
            Err(format!("it is no component, which is one layer of {}; it has {found}", COMPONENTS[0]))
        }
    }
}

/// The one for wasm, or the only one.
fn entry(entries: &[Descriptor]) -> Result<Digest, String> {
    if let [only] = entries {
        return Ok(only.digest);
    }
    let is_wasm = |entry: &&Descriptor| {
        let platform = entry.platform.clone().unwrap_or_default();
        platform.architecture == "wasm" || platform.os.starts_with("wasi")
    };
    let fitting: Vec<&Descriptor> = entries.iter().filter(is_wasm).collect();
    if let [one] = fitting.as_slice() {
        return Ok(one.digest);
    }
    let all: Vec<String> = entries
        .iter()
        .map(|entry| {
            let Platform { architecture, os } = entry.platform.clone().unwrap_or_default();
            format!("{os}/{architecture} {}", entry.digest)
        })
        .collect();
    let found = shown(all.iter().map(String::as_str));
    Err(format!("it is an index with {} entries for wasm; name one by its digest: {found}", fitting.len()))
}

fn shown<'a>(all: impl ExactSizeIterator<Item = &'a str>) -> String {
    let count = all.len();
    if count == 0 {
        return "none".to_owned();
    }
    let first: Vec<String> = all.take(SHOWN_MAX).map(cut).collect();
    let more = if count > SHOWN_MAX { format!(" and {} more", count - SHOWN_MAX) } else { String::new() };
    format!("{}{more}", first.join(", "))
}

fn cut(text: &str) -> String {
    if text.is_empty() { "one without a type".to_owned() } else { text.chars().take(SHOWN_CHARACTERS_MAX).collect() }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(document: Value) -> Result<Content, String> {
        super::read(&serde_json::from_value(document).unwrap())
    }

    fn descriptor(media_type: &str, name: &str) -> Value {
        json!({"mediaType": media_type, "digest": Digest::of(name.as_bytes()), "size": 1})
    }

    #[test]
    fn components_are_one_layer() {
        for media_type in COMPONENTS {
            let Ok(Content::Component(layer)) = read(json!({"layers": [descriptor(media_type, "a")]})) else { panic!("{media_type}") };
            assert_eq!((layer.digest, layer.size), (Digest::of(b"a"), 1));
        }
        let tar = "application/vnd.oci.image.layer.v1.tar+gzip";
        for (document, says) in [
            (json!({"layers": []}), "it has none"),
            (json!({"layers": [descriptor(tar, "a")]}), tar),
            (json!({"layers": [descriptor(COMPONENTS[0], "a"), descriptor(tar, "b")]}), tar),
            (json!({"layers": [], "manifests": []}), "an index, too"),
            (json!({"mediaType": "application/x"}), "application/x"),
            (json!({}), "without a type"),
        ] {
            assert!(read(document.clone()).unwrap_err().contains(says), "{document}");
        }
        let many: Vec<Value> = (0..100).map(|number| descriptor(&"x".repeat(1_000), &number.to_string())).collect();
        let why = read(json!({"layers": many})).unwrap_err();
        assert!(why.contains("and 95 more") && why.len() < 1_000, "{why}");
    }

    #[test]
    fn an_index_leads_to_its_entry_for_wasm() {
        let on = |os: &str, architecture: &str, name: &str| {
            let mut descriptor = descriptor("application/vnd.oci.image.manifest.v1+json", name);
            descriptor["platform"] = json!({"os": os, "architecture": architecture});
            descriptor
        };
        let plain = descriptor("application/vnd.oci.image.manifest.v1+json", "plain");
        for (entries, expected) in [
            (vec![plain.clone()], Some("plain")),
            (vec![on("linux", "amd64", "a"), on("wasip2", "wasm", "b")], Some("b")),
            (vec![on("linux", "amd64", "a"), on("wasi", "wasm32", "b")], Some("b")),
            (vec![on("wasip1", "wasm", "a"), on("wasip2", "wasm", "b")], None),
            (vec![on("linux", "amd64", "a"), plain], None),
            (vec![], None),
        ] {
            let found = match read(json!({"manifests": entries})) {
                Ok(Content::Index(digest)) => Some(digest),
                _ => None,
            };
            assert_eq!(found, expected.map(|name| Digest::of(name.as_bytes())), "{entries:?}");
        }
    }
}
