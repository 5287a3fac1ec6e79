//! Texts that stand for secrets: a guest puts them where the secret belongs, and the host puts the secret there as it leaves.

mod text;

use std::{
    collections::HashMap,
    fmt::Write,
    sync::{Mutex, MutexGuard, PoisonError},
};

use sandmill_model::{ScriptPath, random};

pub(crate) use text::{Replaced, Replacing};

/// Bytes of randomness in a placeholder: nobody guesses one.
const RANDOM_BYTES: usize = 16;
/// Bytes of a secret that a placeholder stands for. A small text becomes it as often as a script likes.
const SECRET_BYTES_MAX: usize = 4 * 1024;
/// Placeholders of one run; a script that makes more is told so.
const PLACEHOLDERS_MAX: usize = 1_000;

/// The placeholders of one run.
#[derive(Default)]
pub struct Placeholders {
    made: Mutex<Made>,
}

#[derive(Default)]
struct Made {
    /// By the random part.
    secrets: HashMap<[u8; RANDOM_BYTES], (ScriptPath, String)>,
    texts: HashMap<(ScriptPath, String), String>,
}

impl Placeholders {
    fn made(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The text that stands for `secret` of the resource or variable at `path`; the same text for the same secret.
    ///
    /// # Errors
    /// If the run has made too many, or the secret is too long.
    pub fn make(&self, path: &ScriptPath, secret: &str) -> Result<String, String> {
        if secret.len() > SECRET_BYTES_MAX {
            return Err(format!("a text can stand for a secret of at most {SECRET_BYTES_MAX} bytes; that at {path} has more"));
        }
        let mut made = self.made();
        let whose = (path.clone(), secret.to_owned());
        if let Some(text) = made.texts.get(&whose) {
            return Ok(text.clone());
        }
        if made.secrets.len() >= PLACEHOLDERS_MAX {
            return Err(format!("a run has at most {PLACEHOLDERS_MAX} texts that stand for secrets"));
        }
        let random = random::bytes::<RANDOM_BYTES>();
        let text = text::text(&random);
        made.secrets.insert(random, whose.clone());
        made.texts.insert(whose, text.clone());
        Ok(text)
    }

    /// Whether any stands for a secret of one of `paths`.
    pub(crate) fn has_any_of(&self, paths: &[ScriptPath]) -> bool {
        self.made().secrets.values().any(|(path, _)| paths.contains(path))
    }

    /// The secret that the text with `random` stands for, if it is one of `paths`.
    fn secret(&self, random: &[u8; RANDOM_BYTES], paths: &[ScriptPath]) -> Option<String> {
        let made = self.made();
        let (path, secret) = made.secrets.get(random)?;
        paths.contains(path).then(|| secret.clone())
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
