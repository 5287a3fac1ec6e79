//! Generated from `wit/`. All functions are async: those that take text or lists let other runs have their turn.

wasmtime::component::bindgen!({
    path: [
        "../../wit/script", "../../wit/context", "../../wit/log", "../../wit/output", "../../wit/state", "../../wit/runs", "../../wit/variables",
        "../../wit/keyvalue", "../../wit/config",
    ],
    inline: "
        package sandmill:host;

        world host {
            import sandmill:context/context@0.1.0;
            import sandmill:log/log@0.1.0;
            import sandmill:output/output@0.1.0;
            import sandmill:runs/runs@0.1.0;
            import sandmill:state/state@0.1.1;
            import sandmill:variables/variables@0.1.0;
            import wasi:config/store@0.2.0-rc.1;
            import wasi:keyvalue/store@0.2.0-draft;
        }
    ",
    world: "sandmill:host/host",
    imports: { default: async | trappable },
    with: { "wasi:keyvalue/store.bucket": crate::keyvalue::Bucket },
    require_store_data_send: true,
});

pub(crate) use self::{
    sandmill::{context::context, log::log, output::output, runs::runs, script::types, state::state, variables::variables},
    wasi::{config::store as config, keyvalue::store as keyvalue},
};

/// Interfaces whose handles are the host's own types.
mod held {
    wasmtime::component::bindgen!({
        path: ["../../wit/script", "../../wit/resources", "../../wit/sql", "../../wit/blob", "../../wit/publish"],
        inline: "
            package sandmill:held;
            world imports {
                import sandmill:resources/resources@0.1.0;
                import sandmill:sql/sql@0.1.0;
                import sandmill:blob/blob@0.1.0;
                import sandmill:publish/publish@0.1.0;
            }
        ",
        world: "sandmill:held/imports",
        imports: { default: async | trappable },
        require_store_data_send: true,
        with: {
            "sandmill:resources/resources.handle": crate::resources::OpenResource,
            "sandmill:sql/sql.transaction": crate::sql::OpenTransaction,
            "sandmill:blob/blob.reader": crate::blob::OpenReader,
            "sandmill:blob/blob.writer": crate::blob::OpenWriter,
        },
    });
}

pub(crate) use self::held::sandmill::{blob::blob, publish::publish, resources::resources, sql::sql};
