//! The page of each error code, as `type` of a problem names it.

use http::header;
use sandmill_model::Code;

use axum::{
    extract::Path,
    response::{IntoResponse, Response},
};

use crate::problem::Problem;

macro_rules! pages {
    ($($name:literal)*) => {
        /// Names of codes and their pages.
        const PAGES: &[(&str, &str)] = &[$(($name, include_str!(concat!("../../../docs/errors/", $name, ".md"))),)*];
    };
}

pages! {
    "bad_request" "invalid_json" "invalid_path" "unauthorized" "forbidden" "not_found" "method_not_allowed" "conflict"
    "payload_too_large" "unsupported_media_type" "invalid_arguments" "idempotency_mismatch" "invalid_resource" "invalid_resource_type" "invalid_trigger" "invalid_manifest" "compile_failed" "invalid_component"
    "build_limit" "too_many_requests" "quota_exceeded" "workspace_archived" "result_gone" "internal" "unavailable" "storage_full" "error" "trap" "out_of_fuel" "out_of_memory" "timeout"
    "result_too_large" "denied" "cancelled" "lost" "poisoned" "host_fault"
}

/// Explains an error code.
#[utoipa::path(get, path = "/errors/{code}", tag = "instance", security(()),
    params(("code" = String, Path, description = "`code` of a problem")),
    responses((status = 200, description = "Markdown", body = String, content_type = "text/markdown")))]
pub(crate) async fn page(Path(code): Path<String>) -> Result<Response, Problem> {
    let (_, text) =
        PAGES.iter().find(|(name, _)| *name == code).ok_or_else(|| Problem::new(Code::NotFound, "there is no error with this code"))?;
    Ok(([(header::CONTENT_TYPE, "text/markdown; charset=utf-8")], *text).into_response())
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn every_code_has_a_page_and_every_page_a_code() {
        let codes: BTreeSet<String> = Code::ALL.iter().map(|code| code.name().to_owned()).collect();
        let served: BTreeSet<String> = PAGES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(served, codes);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors");
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut files: BTreeSet<String> = names.map(|name| name.strip_suffix(".md").unwrap().to_owned()).collect();
        assert!(files.remove("README"), "the list of all pages");
        assert_eq!(files, codes);
    }

    #[test]
    fn pages_have_their_sections() {
        for code in Code::ALL {
            let (_, text) = PAGES.iter().find(|(name, _)| *name == code.name()).unwrap();
            let heading = format!("# {}: {}\n", code.name(), code.title());
            assert!(text.starts_with(&heading), "{}: does not start with {heading:?}", code.name());
            assert!(text.contains(&format!("HTTP {}", code.status().as_u16())), "{}: does not name its status", code.name());
            for section in ["\n## What it means\n", "\n## What to do\n"] {
                let after = text.split(section).nth(1).unwrap_or_else(|| panic!("{}: lacks {section:?}", code.name()));
                assert!(after.split("\n## ").next().unwrap().trim().len() > 40, "{}: {section:?} is empty", code.name());
            }
        }
    }

    #[test]
    fn the_list_names_all() {
        let list = include_str!("../../../docs/errors/README.md");
        for code in Code::ALL {
            assert!(list.contains(&format!("[`{0}`]({0}.md) | {1} |", code.name(), code.status().as_u16())), "{}", code.name());
        }
    }
}
