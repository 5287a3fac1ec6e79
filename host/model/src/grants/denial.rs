//! What a script is told that may not do something, and what its log says: which grant is missing, and how to give it.

use super::{Grant, Grants};
use crate::path::ScriptPath;

/// `script` does not have what `need` stands for; `asked` is what its manifest asks for.
#[must_use]
pub fn denial(script: &ScriptPath, need: &Grant, asked: &Grants) -> String {
    match asked.iter().find(|grant| grant.covers(need)) {
        Some(grant) => format!(
            "{script} asks for `{grant}`, and nobody has granted it: `sandmill grants give {script} \"{grant}\"` does, for somebody who may do that \
             themselves"
        ),
        None => format!(
            "{script} was not granted `{need}`, nor does its manifest ask for it: add it to `[grants]` ({} = [\"{}\"]) and deploy the script again \
             with --grant \"{need}\"",
            need.kind(),
            need.text()
        ),
    }
}
