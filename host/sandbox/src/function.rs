//! Plain functions: a component's own exports with WIT types, called with arguments that are JSON.
//!
//! Arguments are an object by the parameters' names. How values of each type look in JSON is said once, in docs/components.md;
//! [`schema`] describes it, [`lower`] reads it, [`lift`] writes it.

mod lift;
mod lower;
mod schema;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use sandmill_model::{
    JsonText,
    schema::{Fault, refusal},
};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use wasmtime::{
    Engine, Store,
    component::{
        Component, ComponentExportIndex, Instance, Type, Val,
        types::{ComponentFunc, ComponentItem},
    },
};

use self::lower::Budget;
use crate::{call::Ended, guest::Guest, limiter::Held, stop::Stop};

/// Namespaces whose interfaces a host calls by other rules.
const RESERVED: [&str; 2] = ["sandmill:", "wasi:"];
/// What componentize-py leaves behind: it initialised the program when it was built, and is for nobody to call.
const PYTHON_LEFTOVER: &str = "exports";
/// Functions that are listed where none could be chosen.
const LISTED_MAX: usize = 50;
/// Parameters of a function: each is a property of its schema.
const PARAMETERS_MAX: usize = 256;

/// Arguments that become values in well below a millisecond.
const QUICK_BYTES_MAX: usize = 64 * 1024;

/// What they may take as values; a few bytes of JSON can be thousands of values.
const QUICK_VALUES_BYTES_MAX: u64 = 1024 * 1024;

/// Longer ones, which take a multiple of their length while they are read.
static LONG_CONVERSIONS: Semaphore = Semaphore::const_new(2);

/// An exported function that can be called with JSON.
pub struct PlainFunction {
    name: String,
    index: ComponentExportIndex,
    parameters: Vec<(String, Type)>,
    result: Option<Type>,
}

/// Why no function of a component can be called.
#[derive(Debug, PartialEq, Eq)]
pub enum NoFunction {
    /// It exports none.
    None,
    /// One of them must be chosen, by a name of these.
    Several(Vec<String>),
    /// The chosen one is not there, among these.
    Unknown { chosen: String, there: Vec<String> },
    /// It has types that JSON has nothing for; the text says which.
    Unsupported(String),
}

impl fmt::Display for NoFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: &[String]| {
            let names: Vec<_> = names.iter().take(LISTED_MAX).map(|name| format!("`{name}`")).collect();
            names.join(", ")
        };
        match self {
            Self::None => f.write_str("the component exports no function"),
            Self::Several(names) => {
                write!(
                    f,
                    "the component exports several functions; choose one with `--export` or `export` in its manifest: {}",
                    list(names)
                )
            }
            Self::Unknown { chosen, there } if there.is_empty() => write!(f, "there is no function `{chosen}`: the component exports none"),
            Self::Unknown { chosen, there } => write!(f, "there is no function `{chosen}`; the component exports {}", list(there)),
            Self::Unsupported(text) => f.write_str(text),
        }
    }
}

impl PlainFunction {
    /// The function that `export` names — `name`, `interface#name` or `interface@version#name` — or the only one that there is.
    ///
    /// # Errors
    /// Why there is none.
    pub fn of(engine: &Engine, component: &Component, export: Option<&str>) -> Result<Self, NoFunction> {
        let mut functions = functions(engine, component);
        let names = |functions: &[Exported]| functions.iter().map(|function| function.name.clone()).collect::<Vec<_>>();
        let chosen = match export {
            Some(chosen) => {
                let found: Vec<usize> = (0..functions.len()).filter(|index| functions[*index].is_named(chosen)).collect();
                match found.as_slice() {
                    [one] => functions.swap_remove(*one),
                    [] => return Err(NoFunction::Unknown { chosen: chosen.to_owned(), there: names(&functions) }),
                    several => return Err(NoFunction::Several(several.iter().map(|index| functions[*index].name.clone()).collect())),
                }
            }
            None => {
                let (mut callable, others): (Vec<_>, Vec<_>) = functions.into_iter().partition(|function| function.check().is_ok());
                match (callable.pop(), others.first()) {
                    (None, None) => return Err(NoFunction::None),
                    (None, Some(other)) => return Err(NoFunction::Unsupported(other.check().err().unwrap_or_default())),
                    (Some(one), _) if callable.is_empty() => one,
                    (Some(last), _) => {
                        callable.push(last);
                        return Err(NoFunction::Several(names(&callable)));
                    }
                }
            }
        };
        chosen.check().map_err(NoFunction::Unsupported)?;
        let parameters = chosen.function.params().map(|(name, ty)| (name.to_owned(), ty)).collect();
        let result = chosen.function.results().next();
        Ok(Self { name: chosen.name, index: chosen.index, parameters, result })
    }

    /// `name` of a function at the root, else `interface@version#name`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// JSON Schema 2020-12 of the arguments.
    ///
    /// # Errors
    /// If the types are so large that the schema would be.
    pub fn schema(&self) -> Result<JsonText, String> {
        schema::of(&self.parameters)
    }

    /// The arguments as values; the budget knows what they take.
    fn values(&self, arguments: &JsonText, budget: &Budget<'_>) -> Result<Vec<Val>, Refused> {
        if self.parameters.is_empty() {
            return Ok(Vec::new());
        }
        let mut arguments: Map<String, Value> = arguments.read().map_err(|error| {
            let message = format!("the arguments cannot be read as a JSON object: {error}");
            Refused::Faults(vec![Fault { pointer: String::new(), message }])
        })?;
        let (mut values, mut faults) = (Vec::with_capacity(self.parameters.len()), Vec::new());
        for (name, ty) in &self.parameters {
            match lower::parameter(name, arguments.remove(name), ty, budget) {
                Ok(value) => values.push(value),
                Err(_) if budget.is_spent() => return Err(Refused::NoMemory),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() { Ok(values) } else { Err(Refused::Faults(faults)) }
    }

    /// Values of what is short and stays small; none where they need more than that.
    fn quick_values(&self, arguments: &JsonText, bytes_max: u64) -> Option<Result<Converted, Refused>> {
        if arguments.as_str().len() > QUICK_BYTES_MAX {
            return None;
        }
        let stop = AtomicBool::new(false);
        let budget = Budget::of(bytes_max, &stop);
        match self.values(arguments, &budget) {
            Err(Refused::NoMemory) => None,
            values => Some(values.map(|values| Converted { values, spare: budget.left() })),
        }
    }

    /// As [`Self::values`], where nobody waits for the thread and not many at once. What they take is `held` for as long as it is taken, also if the run ends meanwhile.
    async fn long_values(self: &Arc<Self>, arguments: &JsonText, held: Held) -> Result<(Converted, Held), Refused> {
        // The semaphore is never closed.
        let turn = LONG_CONVERSIONS.acquire().await.map_err(|error| Refused::Host(error.to_string()))?;
        let (function, arguments) = (Arc::clone(self), arguments.clone());
        let stop = Arc::new(AtomicBool::new(false));
        let _ends = SetOnDrop(Arc::clone(&stop));
        let converted = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let budget = Budget::of(held.bytes(), &stop);
            let values = function.values(&arguments, &budget)?;
            let spare = budget.left();
            Ok((Converted { values, spare }, held))
        });
        converted.await.unwrap_or_else(|error| Err(Refused::Host(error.to_string())))
    }

    pub(crate) async fn call<H: Send + 'static>(
        self: &Arc<Self>,
        store: &mut Store<Guest<H>>,
        instance: &Instance,
        arguments: &JsonText,
    ) -> wasmtime::Result<Ended> {
        let limiter = &mut store.data_mut().core.limiter;
        // Before it is taken, however much of it will be.
        let mut charged = limiter.room().min(QUICK_VALUES_BYTES_MAX);
        limiter.charge(charged).await?;
        let converted = match self.quick_values(arguments, charged) {
            Some(converted) => converted,
            None => {
                limiter.discharge(charged);
                charged = limiter.room();
                limiter.charge(charged).await?;
                let held = limiter.hand_over(charged);
                self.long_values(arguments, held).await.map(|(converted, held)| {
                    store.data_mut().core.limiter.take_over(held);
                    converted
                })
            }
        };
        let Converted { values, spare } = match converted {
            Ok(converted) => converted,
            Err(Refused::Faults(faults)) => return Ok(Ended::InvalidArguments(refusal(faults))),
            Err(Refused::NoMemory) => {
                return Err(Stop::OutOfMemory { limit_bytes: store.data().core.limits.memory_bytes }.into());
            }
            Err(Refused::Host(error)) => return Err(Stop::HostFault(error).into()),
        };
        // The guest needs room for them too.
        store.data_mut().core.limiter.discharge(spare);
        let function = instance.get_func(&mut *store, self.index).ok_or_else(|| wasmtime::format_err!("`{}` is no function", self.name))?;
        let mut results = if self.result.is_some() { vec![Val::Bool(false)] } else { Vec::new() };
        function.call_async(&mut *store, &values, &mut results).await?;
        drop(values);
        store.data_mut().core.limiter.discharge(charged - spare);
        Ok(lift::result(results.pop().zip(self.result.as_ref()), store.data().result_bytes_max()))
    }
}

/// Tells a conversion that the run has ended.
struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Arguments as values, and what of the memory that was charged for them they did not need.
struct Converted {
    values: Vec<Val>,
    spare: u64,
}

/// Why arguments did not become values.
enum Refused {
    Faults(Vec<Fault>),
    NoMemory,
    Host(String),
}

/// A function that is exported, whether it can be called or not.
struct Exported {
    name: String,
    index: ComponentExportIndex,
    function: ComponentFunc,
}

impl Exported {
    fn is_named(&self, chosen: &str) -> bool {
        let Some((interface, name)) = self.name.split_once('#') else { return self.name == chosen };
        let unversioned = interface.split('@').next().unwrap_or(interface);
        chosen == self.name || chosen == name || chosen.split_once('#').is_some_and(|(of, function)| of == unversioned && function == name)
    }

    /// # Errors
    /// Which of its types JSON has nothing for.
    fn check(&self) -> Result<(), String> {
        let unsupported = |place: &str, what: &str| Err(format!("`{}` cannot be called with JSON: {place} {what}", self.name));
        if self.function.async_() {
            return unsupported("it", "is async");
        }
        if self.function.params().len() > PARAMETERS_MAX {
            return unsupported("it", &format!("has more than {PARAMETERS_MAX} parameters"));
        }
        let mut size = schema::Size::default();
        for (name, ty) in self.function.params() {
            if let Err(what) = schema::check(&ty, &mut size) {
                return unsupported(&format!("its parameter `{name}`"), &what);
            }
        }
        self.function.results().try_for_each(|ty| schema::check(&ty, &mut size).or_else(|what| unsupported("its result", &what)))
    }
}

fn is_own(interface: &str) -> bool {
    interface != PYTHON_LEFTOVER && !RESERVED.iter().any(|namespace| interface.starts_with(namespace))
}

/// All that a component exports, at its root and in its own interfaces; constructors and methods belong to resources.
fn functions(engine: &Engine, component: &Component) -> Vec<Exported> {
    let mut found = Vec::new();
    for (name, item) in component.component_type().exports(engine) {
        match item.ty {
            ComponentItem::ComponentFunc(function) => {
                let Some(index) = component.get_export_index(None, name) else { continue };
                found.push(Exported { name: name.to_owned(), index, function });
            }
            ComponentItem::ComponentInstance(instance) if is_own(name) => {
                let Some(interface) = component.get_export_index(None, name) else { continue };
                for (function_name, item) in instance.exports(engine) {
                    let ComponentItem::ComponentFunc(function) = item.ty else { continue };
                    let Some(index) = component.get_export_index(Some(&interface), function_name) else { continue };
                    found.push(Exported { name: format!("{name}#{function_name}"), index, function });
                }
            }
            _ => {}
        }
    }
    found.retain(|function| !function.name.contains('['));
    found
}
