//! What a script's author says about it beside the source. TOML in a file, JSON over HTTP.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    grants::Grants,
    label::{self, LabelPointers},
    limits::LimitsRequest,
    policy::DispatchRequest,
    run_as::RunAs,
};

/// Unknown keys are errors: a misspelt limit must not be silently ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Manifest {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// For a component with several plain functions: which to call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub export: Option<String>,
    /// As whom runs act, instead of whoever starts them: `s/NAME`, `g/NAME` or `u/NAME`, which whoever deploys may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub run_as: Option<RunAs>,
    pub limits: LimitsRequest,
    #[serde(skip_serializing_if = "DispatchRequest::is_empty")]
    pub dispatch: DispatchRequest,
    /// Names for values by which runs are found again: JSON pointers into the arguments, at most 8.
    #[serde(skip_serializing_if = "LabelPointers::is_empty")]
    pub labels: LabelPointers,
    #[serde(skip_serializing_if = "Grants::is_empty")]
    pub grants: Grants,
}

impl Manifest {
    /// # Errors
    /// What is wrong with it beyond its form, for its author.
    pub fn check(&self) -> Result<(), String> {
        self.dispatch.check().map_err(|fault| format!("dispatch: {fault}"))?;
        label::check(&self.labels).map_err(|fault| format!("labels: {fault}"))?;
        self.grants.check().map_err(|fault| format!("grants: {fault}"))
    }
}
