//! Generated from `wit/`. All functions are async: those that take text or lists let other runs have their turn.

wasmtime::component::bindgen!({
    path: ["../../wit/script", "../../wit/context", "../../wit/log", "../../wit/output", "../../wit/state", "../../wit/runs", "../../wit/guest"],
    world: "sandmill:guest/imports",
    imports: { default: async | trappable },
    require_store_data_send: true,
});

pub(crate) use self::sandmill::{context::context, log::log, output::output, runs::runs, script::types, state::state};
