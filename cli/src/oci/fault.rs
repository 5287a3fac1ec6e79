//! What is said when an artifact cannot be had.

use super::reference::{Reference, Version};
use crate::error::CliError;

/// Tags that a message shows.
const TAGS_SHOWN: usize = 20;

/// The registry, or what it has, is not what it should be.
pub(super) fn strange(reference: &Reference, why: &str) -> CliError {
    CliError::input(format!("cannot take oci://{reference}: {why}"))
}

pub(super) fn unreachable(reference: &Reference, why: &str) -> CliError {
    CliError::Unreachable(format!("cannot pull oci://{reference}: {why}"))
}

/// Whether somebody was logged in when the registry said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Login {
    None,
    Refused,
}

pub(super) fn unauthorized(reference: &Reference, login: Login) -> CliError {
    let registry = &reference.registry;
    let why = match login {
        Login::None => {
            format!("{registry} wants to know who asks; run `docker login {registry}`. It may also mean that there is no such repository")
        }
        Login::Refused => format!(
            "{registry} does not let the user whom Docker's config.json names have it; run `docker login {registry}` as somebody who may, \
             or again if the password has changed. It may also mean that there is no such repository"
        ),
    };
    unreachable(reference, &why)
}

/// `tags`: those of the repository, where the registry tells.
pub(super) fn missing(reference: &Reference, version: &Version, tags: Option<&[String]>) -> CliError {
    let what = match version {
        Version::Tag(tag) => format!("no tag {tag:?}"),
        Version::Digest(digest) => format!("no manifest {digest}"),
    };
    let known = match tags {
        None => "the registry shows no tags of it; check the name".to_owned(),
        Some([]) => "it has no tags at all".to_owned(),
        Some(tags) => {
            let shown: Vec<&str> = tags.iter().rev().take(TAGS_SHOWN).map(String::as_str).collect();
            let more = if tags.len() > TAGS_SHOWN { ", and more" } else { "" };
            format!("there are: {}{more}", shown.join(", "))
        }
    };
    CliError::input(format!("{}/{} has {what}; {known}", reference.registry, reference.repository))
}
