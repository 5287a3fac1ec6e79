//! Scripts: deploy, show, list, versions, downloads.

pub(crate) mod deploy;
pub(crate) mod download;
pub(crate) mod list;
pub(crate) mod show;
mod submission;
pub(crate) mod versions;

pub(crate) use deploy::deploy;
pub(crate) use download::{component, program};
pub(crate) use list::list;
pub(crate) use show::show;
pub(crate) use versions::versions;

use sandmill_model::ScriptPath;

use crate::problem::Problem;

fn not_deployed(path: &ScriptPath) -> Problem {
    Problem::new(sandmill_model::Code::NotFound, format!("nothing is deployed at {path}, or not in this version"))
}
