//! What a script is told that may not do something, and what its log says: which grant is missing, and how to give it.

use super::{Grant, Grants};
use crate::path::ScriptPath;

/// `script` has none of `needs`, of which any would do; `asked` is what its manifest asks for.
#[must_use]
pub fn denial(script: &ScriptPath, needs: &[Grant], asked: &Grants) -> String {
    let is_local = script.is_local();
    if let Some(grant) = needs.iter().find_map(|need| asked.iter().find(|grant| grant.covers(need))) {
        let how = if is_local {
            format!("run the file again with --grant \"{grant}\"")
        } else {
            format!("`sandmill grants give {script} \"{grant}\"` does, for somebody who may do that themselves")
        };
        return format!("{script} asks for `{grant}`, and nobody has granted it, or not all of it: {how}");
    }
    let each = |form: fn(&Grant) -> String| needs.iter().map(form).collect::<Vec<_>>().join(" or ");
    let missing = each(|need| format!("`{need}`"));
    let lines = each(|need| format!("{} = [\"{}\"]", need.kind(), need.text()));
    let options = each(|need| format!("--grant \"{need}\""));
    let ask = if needs.len() == 1 { "it: add it" } else { "either: add one" };
    let again = if is_local { "run the file" } else { "deploy the script" };
    format!(
        "{script} was not granted {missing}, nor does its manifest ask for {ask} to `[grants]` ({lines}) and {again} again with {options}"
    )
}
