//! Everything durable. Narrow traits by aggregate; SQL written once for SQLite and PostgreSQL.
//!
//! Whole operations, each in one transaction; nothing hands a transaction upward. Every key starts with the workspace id.

pub mod access;
pub mod audit;
pub mod backup;
pub mod dead_letters;
mod error;
pub mod grants;
pub mod history;
pub mod keys;
pub mod members;
pub mod nodes;
pub mod objects;
pub mod places;
pub mod plans;
pub mod queue;
pub mod removal;
pub mod resource_types;
pub mod resources;
pub mod retention;
pub mod scripts;
pub mod seal;
pub mod seats;
pub mod service_accounts;
pub mod signals;
mod sql;
pub mod state;
pub mod subjects;
pub mod token_upkeep;
pub mod tokens;
pub mod triggers;
pub mod upkeep;
pub mod usage;
pub mod users;
pub mod variables;
pub mod workspaces;

use std::sync::Arc;

pub use error::StoreError;
pub use sql::{Durability, Options, connect, connect_sealed, connect_with};

/// The store's parts. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub workspaces: Arc<dyn workspaces::Workspaces>,
    pub plans: Arc<dyn plans::Plans>,
    pub removals: Arc<dyn removal::Removals>,
    pub usage: Arc<dyn usage::UsageCounters>,
    pub tokens: Arc<dyn tokens::Tokens>,
    pub scripts: Arc<dyn scripts::Scripts>,
    pub queue: Arc<dyn queue::Queue>,
    pub nodes: Arc<dyn nodes::Nodes>,
    pub places: Arc<dyn places::Places>,
    pub signals: Arc<dyn signals::Signals>,
    pub history: Arc<dyn history::History>,
    pub dead_letters: Arc<dyn dead_letters::DeadLetters>,
    pub retention: Arc<dyn retention::Retention>,
    pub objects: Arc<dyn objects::Objects>,
    pub state: Arc<dyn state::State>,
    pub resource_types: Arc<dyn resource_types::ResourceTypes>,
    pub resources: Arc<dyn resources::Resources>,
    pub variables: Arc<dyn variables::Variables>,
    pub grants: Arc<dyn grants::Grants>,
    pub keys: Arc<dyn keys::Keys>,
    pub users: Arc<dyn users::Users>,
    pub sessions: Arc<dyn users::Sessions>,
    pub subjects: Arc<dyn subjects::Subjects>,
    pub members: Arc<dyn members::Members>,
    pub invitations: Arc<dyn members::Invitations>,
    pub groups: Arc<dyn access::Groups>,
    pub folders: Arc<dyn access::Folders>,
    pub service_accounts: Arc<dyn service_accounts::ServiceAccounts>,
    pub audit: Arc<dyn audit::Audit>,
    pub shown: Arc<dyn audit::Shown>,
    pub triggers: Arc<dyn triggers::Triggers>,
    pub seats: Arc<dyn seats::Seats>,
    /// Whether the database answers.
    pub health: Arc<dyn Health>,
}

/// For readiness, and for a clean end.
pub trait Health: Send + Sync + 'static {
    /// # Errors
    /// What the database said.
    fn check(&self) -> sandmill_model::BoxFuture<'_, Result<(), StoreError>>;

    /// Finishes what is under way and closes the connections.
    fn close(&self) -> sandmill_model::BoxFuture<'_, ()>;
}
