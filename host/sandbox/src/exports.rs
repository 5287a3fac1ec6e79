//! What a component exports that a host calls, looked up and checked once.

use sandmill_model::exports::{COMMAND, LOADER, MAIN, PREPROCESSOR, SCHEMA};
use wasmtime::component::{
    Component, ComponentExportIndex, ComponentNamedList, InstancePre, Lift, Lower,
    types::{ComponentFunc, ComponentItem},
};

use crate::{
    bindings::{CommandResults, DescribeResults, LoadParams, LoadResults, PreprocessParams, PreprocessResults, RunParams, RunResults},
    error::Error,
};

pub(crate) struct Exports {
    pub(crate) run: Option<ComponentExportIndex>,
    pub(crate) preprocess: Option<ComponentExportIndex>,
    pub(crate) describe: Option<ComponentExportIndex>,
    pub(crate) command: Option<ComponentExportIndex>,
    /// Only a language runtime has one.
    pub(crate) load: Option<ComponentExportIndex>,
}

impl Exports {
    /// # Errors
    /// If a function has another type than it should.
    pub(crate) fn of<T: 'static>(pre: &InstancePre<T>) -> Result<Self, Error> {
        Ok(Self {
            run: typed::<T, RunParams<'_>, RunResults>(pre, MAIN, "run")?,
            preprocess: typed::<T, PreprocessParams<'_>, PreprocessResults>(pre, PREPROCESSOR, "preprocess")?,
            describe: typed::<T, (), DescribeResults>(pre, SCHEMA, "describe")?,
            command: typed::<T, (), CommandResults>(pre, COMMAND, "run")?,
            load: typed::<T, LoadParams<'_>, LoadResults>(pre, LOADER, "load")?,
        })
    }
}

fn typed<T, Params, Results>(pre: &InstancePre<T>, interface: &str, name: &str) -> Result<Option<ComponentExportIndex>, Error>
where
    T: 'static,
    Params: ComponentNamedList + Lower,
    Results: ComponentNamedList + Lift,
{
    let Some((function, index)) = function(pre.component(), interface, name) else { return Ok(None) };
    match function.typecheck::<Params, Results>(&pre.instance_type()) {
        Ok(()) => Ok(Some(index)),
        Err(error) => Err(Error::NotAScript(format!("`{interface}` has a function `{name}` of another type: {error:#}"))),
    }
}

fn function(component: &Component, interface: &str, name: &str) -> Option<(ComponentFunc, ComponentExportIndex)> {
    let instance = component.get_export_index(None, interface)?;
    match component.get_export(Some(&instance), name)? {
        (ComponentItem::ComponentFunc(function), index) => Some((function, index)),
        _ => None,
    }
}
