//! Kinds of trigger, each against the real thing on its other side: the same cases for all, on both databases.
//!
//! [`rig::Rig`] is what a new kind brings; its file lists by [`rig::conforms`] the cases that it keeps, and says of the others why they mean
//! nothing for it.

pub(crate) mod broker;
mod cases;
mod http;
mod modes;
mod overlap;
mod preprocessors;
mod rig;
mod terms;
pub(crate) mod world;

mod nats;
mod poll;
mod route;
mod schedule;
mod webhook;
