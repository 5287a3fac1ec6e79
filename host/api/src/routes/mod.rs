//! Handlers, by resource: one file for each endpoint or small group.

pub(crate) mod audit;
pub(crate) mod folders;
pub(crate) mod grants;
pub(crate) mod groups;
pub(crate) mod handover;
pub(crate) mod instance;
pub(crate) mod keys;
pub(crate) mod letters;
pub(crate) mod limits;
pub(crate) mod members;
pub(crate) mod plans;
pub(crate) mod resource_types;
pub(crate) mod resources;
pub(crate) mod runs;
pub(crate) mod scripts;
pub(crate) mod service_accounts;
pub(crate) mod session;
pub(crate) mod sessions;
pub(crate) mod settings;
pub(crate) mod single_sign_on;
pub(crate) mod tokens;
pub(crate) mod triggers;
pub(crate) mod usage;
pub(crate) mod users;
pub(crate) mod variables;
pub(crate) mod workspaces;
