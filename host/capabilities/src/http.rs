//! `wasi:http/outgoing-handler`: requests that scripts make, from the grant to the socket; and [`incoming`] ones.
//!
//! A request is judged by its run's grants, which know origins; each connection is judged by [`AddressPolicy`] once its name has been
//! resolved, and goes to an address that was judged; in tests of scripts all go to a [`StandIn`]. Connections belong to one workspace. Nothing is made before a guest asks for it.

mod addresses;
mod api;
mod body;
mod client;
mod connect;
mod credentials;
mod fault;
mod host;
pub mod incoming;
mod limits;
mod network;
mod paced;
mod resolve;
mod stand_in;
mod target;
mod tls;
mod traffic;

pub use addresses::{AddressPolicy, Denied};
pub use api::{ApiAccess, ApiPort};
pub use client::{Outbound, OutboundOptions};
pub use credentials::{CredentialsPort, HttpCredentials, NoCredentials};
pub use host::HttpState;
pub(crate) use host::link;
pub use limits::HttpLimits;
pub use resolve::{Resolver, SystemResolver};
pub use stand_in::StandIn;
pub use tls::{InvalidAuthorities, config as tls_config};
pub use traffic::{TrafficPort, Uncounted};
