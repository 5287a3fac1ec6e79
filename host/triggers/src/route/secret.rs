//! Secrets that callers show: only digests are kept, and compared in constant time.

use sandmill_model::trigger::ConfigError;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

/// Secrets beside the first one, which are taken while they are changed.
pub(super) const OTHERS_MAX: usize = 3;

/// Any of these is right.
pub(super) struct Secrets(Vec<[u8; 32]>);

impl Secrets {
    pub(super) fn of<'s>(secrets: impl IntoIterator<Item = &'s [u8]>) -> Self {
        Self(secrets.into_iter().map(|secret| Sha256::digest(secret).into()).collect())
    }

    /// Neither the length of a secret nor which of them fits shows in the time that it takes.
    pub(super) fn fit(&self, shown: &[u8]) -> bool {
        let shown: [u8; 32] = Sha256::digest(shown).into();
        let fits = self.0.iter().fold(Choice::from(0), |fits, secret| fits | secret.as_slice().ct_eq(shown.as_slice()));
        fits.into()
    }
}

/// The first and the others, none of them empty.
pub(super) fn all<'s>(first: (&'s str, &str), others: (&'s [String], &str)) -> Result<Vec<&'s str>, ConfigError> {
    let (first, first_at) = first;
    let (others, others_at) = others;
    if first.is_empty() {
        return Err(ConfigError::new(first_at, "it is empty"));
    }
    if others.len() > OTHERS_MAX {
        return Err(ConfigError::new(others_at, format!("there are at most {OTHERS_MAX}")));
    }
    if let Some(at) = others.iter().position(String::is_empty) {
        return Err(ConfigError::new(format!("{others_at}/{at}"), "it is empty"));
    }
    Ok(std::iter::once(first).chain(others.iter().map(String::as_str)).collect())
}
