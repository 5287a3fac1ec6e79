//! Secrets that a run uses and cannot read: they come to it as echoes, whole. Their parts are not looked for, or the masks would tell whoever
//! prints guesses how a secret goes on.

use memchr::memmem::Finder;

use super::{SECRET_BYTES_MIN, forms};

/// Bytes of all forms of one run's secrets.
const FORMS_BYTES_MAX: usize = 4 * 1024 * 1024;

#[derive(Default)]
pub(super) struct Wholes {
    forms: Vec<Finder<'static>>,
    bytes: usize,
}

impl Wholes {
    pub(super) fn add(&mut self, secret: &str) {
        if secret.len() < SECRET_BYTES_MIN {
            return;
        }
        for form in forms::of(secret.as_bytes()) {
            if self.bytes + form.len() > FORMS_BYTES_MAX {
                return;
            }
            self.bytes += form.len();
            self.forms.push(Finder::new(&form).into_owned());
        }
    }

    /// Where in `text` there is any, as ranges that may overlap.
    pub(super) fn found(&self, text: &[u8]) -> impl Iterator<Item = std::ops::Range<usize>> {
        self.forms.iter().flat_map(|form| form.find_iter(text).map(|at| at..at + form.needle().len()))
    }
}
