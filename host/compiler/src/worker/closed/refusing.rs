//! Every interface that a script may import, each function refusing.

use wasmtime::{
    Result,
    component::{Resource, bindgen},
};

use super::Closed;

bindgen!({
    path: [
        "../../wit/script", "../../wit/context", "../../wit/log", "../../wit/output", "../../wit/state", "../../wit/runs", "../../wit/resources",
        "../../wit/variables", "../../wit/sql", "../../wit/blob", "../../wit/publish", "../../wit/keyvalue", "../../wit/config", "../../wit/guest",
    ],
    inline: "
        package sandmill:closed;

        world imports {
            include sandmill:guest/imports@0.1.0;
            import wasi:keyvalue/store@0.2.0-draft;
            import wasi:config/store@0.2.0-rc.1;
        }
    ",
    world: "sandmill:closed/imports",
    imports: { default: trappable },
});

use sandmill::{
    blob::blob, context::context, log::log, output::output, publish::publish, resources::resources, runs::runs, script::types, sql::sql,
    state::state, variables::variables,
};
use wasi::{config::store as config, keyvalue::store as keyvalue};

type Answer<T, E> = Result<std::result::Result<T, E>>;

/// Functions of an interface, none of which can be called.
macro_rules! refuse {
    ($what:literal, $host:path { $(fn $name:ident($($argument:ty),*) -> $answer:ty;)* }) => {
        impl $host for Closed {
            $(refuse!(@ $what, $name, $answer, $($argument),*);)*
        }
    };
    (@ $what:literal, $name:ident, $answer:ty,) => {
        fn $name(&mut self) -> $answer { refused($what) }
    };
    (@ $what:literal, $name:ident, $answer:ty, $one:ty) => {
        fn $name(&mut self, _: $one) -> $answer { refused($what) }
    };
    (@ $what:literal, $name:ident, $answer:ty, $one:ty, $two:ty) => {
        fn $name(&mut self, _: $one, _: $two) -> $answer { refused($what) }
    };
    (@ $what:literal, $name:ident, $answer:ty, $one:ty, $two:ty, $three:ty) => {
        fn $name(&mut self, _: $one, _: $two, _: $three) -> $answer { refused($what) }
    };
}

fn refused<T>(what: &str) -> Result<T> {
    Err(wasmtime::format_err!("{what} is not available while a script is built"))
}

impl log::Host for Closed {
    /// What is logged while building is nobody's log.
    fn write(&mut self, _level: log::Level, _message: String, _fields: Option<String>) -> Result<()> {
        Ok(())
    }
}

impl types::Host for Closed {}

refuse!("the run's context", context::Host {
    fn get() -> Result<context::Info>;
    fn payload() -> Result<Vec<u8>>;
});

refuse!("the run's output", output::Host {
    fn progress(f64, String) -> Result<()>;
    fn write(Vec<u8>) -> Result<()>;
});

refuse!("runs", runs::Host {
    fn start(String, String, runs::Options) -> Answer<String, runs::Error>;
    fn wait(String, Option<u64>) -> Answer<runs::Ending, runs::Error>;
    fn wait_many(Vec<String>, runs::Until, Option<u64>) -> Answer<Vec<String>, runs::Error>;
    fn get_result(String) -> Answer<Option<runs::Ending>, runs::Error>;
    fn cancel(String) -> Answer<bool, runs::Error>;
});

refuse!("state", state::Host {
    fn get(String) -> Answer<Option<String>, state::Error>;
    fn set(String, String) -> Answer<(), state::Error>;
    fn delete(String) -> Answer<(), state::Error>;
    fn compare_and_swap(String, Option<String>, Option<String>) -> Answer<bool, state::Error>;
    fn list(String, Option<String>, u32) -> Answer<Vec<String>, state::Error>;
});

refuse!("variables", variables::Host {
    fn get(String) -> Answer<String, variables::Error>;
    fn placeholder(String) -> Answer<String, variables::Error>;
});

refuse!("resources", resources::Host {
    fn open(String) -> Answer<Resource<resources::Handle>, resources::Error>;
});

refuse!("resources", resources::HostHandle {
    fn path(Resource<resources::Handle>) -> Result<String>;
    fn kind(Resource<resources::Handle>) -> Result<String>;
    fn fields(Resource<resources::Handle>) -> Result<String>;
    fn placeholder(Resource<resources::Handle>, String) -> Answer<String, resources::Error>;
    fn drop(Resource<resources::Handle>) -> Result<()>;
});

refuse!("publish", publish::Host {
    fn publish(Resource<resources::Handle>, publish::Message) -> Answer<String, publish::Error>;
});

refuse!("sql", sql::Host {
    fn query(Resource<sql::Handle>, String, String) -> Answer<sql::Answer, sql::Error>;
    fn execute(Resource<sql::Handle>, String, String) -> Answer<u64, sql::Error>;
});

refuse!("sql", sql::HostTransaction {
    fn begin(Resource<sql::Handle>) -> Answer<Resource<sql::Transaction>, sql::Error>;
    fn query(Resource<sql::Transaction>, String, String) -> Answer<sql::Answer, sql::Error>;
    fn execute(Resource<sql::Transaction>, String, String) -> Answer<u64, sql::Error>;
    fn commit(Resource<sql::Transaction>) -> Answer<(), sql::Error>;
    fn rollback(Resource<sql::Transaction>) -> Answer<(), sql::Error>;
    fn drop(Resource<sql::Transaction>) -> Result<()>;
});

refuse!("blob", blob::Host {
    fn get(String) -> Answer<Option<Resource<blob::Reader>>, blob::Error>;
    fn put(String, Option<String>) -> Answer<Resource<blob::Writer>, blob::Error>;
    fn stat(String) -> Answer<Option<blob::Object>, blob::Error>;
    fn delete(String) -> Answer<(), blob::Error>;
    fn list(String, Option<String>, u32) -> Answer<Vec<blob::Object>, blob::Error>;
});

refuse!("blob", blob::HostReader {
    fn info(Resource<blob::Reader>) -> Result<blob::Object>;
    fn read(Resource<blob::Reader>, u32) -> Answer<Option<Vec<u8>>, blob::Error>;
    fn drop(Resource<blob::Reader>) -> Result<()>;
});

refuse!("blob", blob::HostWriter {
    fn write(Resource<blob::Writer>, Vec<u8>) -> Answer<(), blob::Error>;
    fn finish(Resource<blob::Writer>) -> Answer<blob::Object, blob::Error>;
    fn drop(Resource<blob::Writer>) -> Result<()>;
});

refuse!("state", keyvalue::Host {
    fn open(String) -> Answer<Resource<keyvalue::Bucket>, keyvalue::Error>;
});

refuse!("state", keyvalue::HostBucket {
    fn get(Resource<keyvalue::Bucket>, String) -> Answer<Option<Vec<u8>>, keyvalue::Error>;
    fn set(Resource<keyvalue::Bucket>, String, Vec<u8>) -> Answer<(), keyvalue::Error>;
    fn delete(Resource<keyvalue::Bucket>, String) -> Answer<(), keyvalue::Error>;
    fn exists(Resource<keyvalue::Bucket>, String) -> Answer<bool, keyvalue::Error>;
    fn list_keys(Resource<keyvalue::Bucket>, Option<u64>) -> Answer<keyvalue::KeyResponse, keyvalue::Error>;
    fn drop(Resource<keyvalue::Bucket>) -> Result<()>;
});

refuse!("variables", config::Host {
    fn get(String) -> Answer<Option<String>, config::Error>;
    fn get_all() -> Answer<Vec<(String, String)>, config::Error>;
});
