//! What is in the folder: sizes and last uses.

use std::{collections::HashMap, fs, io, path::Path};

use sandmill_model::Timestamp;

use super::{EXTENSION, TEMPORARY_EXTENSION, modified};

#[derive(Default)]
pub(super) struct Index {
    files: HashMap<String, Entry>,
    total_bytes: u64,
}

struct Entry {
    bytes: u64,
    last_use: Timestamp,
}

impl Index {
    /// Reads the folder, and removes what an earlier process left half written.
    pub(super) fn scan(dir: &Path) -> io::Result<Self> {
        let mut index = Self::default();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let path = entry.path();
            let Ok(name) = entry.file_name().into_string() else { continue };
            match path.extension().and_then(|extension| extension.to_str()) {
                Some(EXTENSION) => {
                    let metadata = entry.metadata()?;
                    index.insert(&name, metadata.len(), modified(&metadata));
                }
                Some(TEMPORARY_EXTENSION) => {
                    // Gone already is as good.
                    let _ = fs::remove_file(path);
                }
                _ => {}
            }
        }
        Ok(index)
    }

    pub(super) fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    pub(super) fn insert(&mut self, name: &str, bytes: u64, last_use: Timestamp) {
        self.remove(name);
        self.files.insert(name.to_owned(), Entry { bytes, last_use });
        self.total_bytes += bytes;
    }

    pub(super) fn touch(&mut self, name: &str, now: Timestamp) {
        if let Some(entry) = self.files.get_mut(name) {
            entry.last_use = now;
        }
    }

    pub(super) fn remove(&mut self, name: &str) {
        if let Some(entry) = self.files.remove(name) {
            self.total_bytes -= entry.bytes;
        }
    }

    pub(super) fn beginning_with(&self, start: &str) -> Vec<String> {
        self.files.keys().filter(|name| name.starts_with(start)).cloned().collect()
    }

    pub(super) fn oldest_but(&self, keep: &str) -> Option<String> {
        let others = self.files.iter().filter(|(name, _)| *name != keep);
        others.min_by_key(|(_, entry)| entry.last_use).map(|(name, _)| name.clone())
    }
}
