//! Arguments of plain functions: what the schema takes becomes a value, what became one comes back as the documentation says, and all of it within
//! the memory of the run.

use std::{fmt::Write as _, sync::Arc};

use arbitrary::{Result, Unstructured};
use sandmill_model::{JsonText, Limits, OutcomeKind, Output, schema::Schema};
use sandmill_sandbox::{CallInput, PlainFunction, Program};
use serde_json::Value;

use crate::{
    bed::{Bed, bed},
    echo::{self, PADS},
    json,
    normal::{self, Refusal},
    types::Type,
};

/// Values of one type: its component is compiled once for all.
const VALUES_MAX: usize = 16;
/// Enough for every value here, and for the function itself and little else.
const MEMORY: Limits = Limits { memory_bytes: 256 * 1024 * 1024, ..Limits::CEILING };
const LITTLE_MEMORY: Limits = Limits { memory_bytes: 192 * 1024, ..Limits::CEILING };

/// A type and values of it, made of the input.
pub fn values(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(ty) = Type::arbitrary(&mut input) else { return };
    let bed = bed();
    let function = Function::new(&bed, ty);
    for _ in 0..VALUES_MAX {
        let Ok(arguments) = arguments(&function.ty, &mut input) else { return };
        function.check(&bed, &arguments);
        if input.is_empty() {
            break;
        }
    }
}

fn arguments(ty: &Type, input: &mut Unstructured<'_>) -> Result<String> {
    let mut out = "{\"v\":".to_owned();
    json::write(ty, input, &mut out)?;
    if input.int_in_range(0..=7)? == 7 {
        let _ = write!(out, ",\"p0\":{}", input.int_in_range(-1..=300)?);
    }
    out.push('}');
    Ok(out)
}

/// Any text as arguments: the first byte chooses among a handful of types.
pub fn values_bytes(data: &[u8]) {
    let Some((chosen, text)) = data.split_first() else { return };
    let Ok(text) = str::from_utf8(text) else { return };
    let bed = bed();
    let chosen = usize::from(chosen.wrapping_sub(b'0')) % FIXED.len();
    let function = Function::new(&bed, FIXED[chosen]());
    function.check(&bed, text);
}

static FIXED: [fn() -> Type; 6] = [
    || Type::integer("u64"),
    || Type::Tuple(vec![Type::integer("s64"), Type::integer("u8"), Type::F32, Type::F64, Type::Char, Type::Bool]),
    || Type::List(Box::new(Type::Option(Box::new(Type::Option(Box::new(Type::String)))))),
    || {
        Type::Variant(vec![
            ("a", None),
            ("b", Some(Type::Result(None, Some(Box::new(Type::String))))),
            ("c", Some(Type::List(Box::new(Type::integer("u8"))))),
        ])
    },
    || {
        Type::Record(vec![
            ("a", Type::Flags(vec!["x", "y"])),
            ("b", Type::Enum(vec!["x", "y"])),
            ("c", Type::Option(Box::new(Type::integer("s32")))),
        ])
    },
    || Type::List(Box::new(Type::Record(vec![("a", Type::Option(Box::new(Type::Bool))), ("b", Type::Option(Box::new(Type::String)))]))),
];

struct Function {
    ty: Type,
    program: Arc<Program<()>>,
    function: Arc<PlainFunction>,
    schema: Schema,
}

impl Function {
    fn new(bed: &Bed, ty: Type) -> Self {
        let program = bed.program(&echo::component(&ty));
        let function = program.function("echo").unwrap();
        let schema = Schema::compile(&function.schema().unwrap().read().unwrap()).unwrap();
        Self { ty, program, function: Arc::new(function), schema }
    }

    fn check(&self, bed: &Bed, text: &str) {
        // What is no JSON, or nested too deeply, comes no further than the request.
        let Ok(arguments) = JsonText::parse(text) else { return };
        let read = arguments.read::<Value>();
        let expected = read.as_ref().map_or(Err(Refusal::Schema), |arguments| self.expected(arguments));
        if let Ok(value) = &read {
            let faults = self.schema.faults(value);
            let is_as_expected = match expected {
                Ok(_) => faults.is_empty(),
                Err(Refusal::Schema) => !faults.is_empty(),
                Err(Refusal::Beyond) => true,
            };
            assert!(is_as_expected, "the schema says {faults:?} of {text}, where {expected:?} is expected");
        }
        for limits in [MEMORY, LITTLE_MEMORY] {
            self.call(bed, (&arguments, &expected), limits);
        }
    }

    /// What the function returns: the value, and whether there was more beside it.
    fn expected(&self, arguments: &Value) -> std::result::Result<String, Refusal> {
        let Value::Object(members) = arguments else { return Err(Refusal::Schema) };
        let pad = Type::Option(Box::new(Type::integer("u8")));
        let pads = (0..PADS).map(|number| normal::of(&pad, members.get(&format!("p{number}"))));
        normal::joined(pads.chain([normal::of(&self.ty, members.get("v"))]))?;
        let value = normal::of(&self.ty, members.get("v"))?;
        let is_more = members.get("p0").is_some_and(|value| !value.is_null());
        Ok(format!("[{value},{is_more}]"))
    }

    fn call(&self, bed: &Bed, (arguments, expected): (&JsonText, &std::result::Result<String, Refusal>), limits: Limits) {
        let input = CallInput::Function { function: Arc::clone(&self.function), arguments: arguments.clone() };
        let outcome = bed.run(Arc::clone(&self.program), input, limits);
        match (expected, outcome.kind, &outcome.output) {
            (Ok(expected), OutcomeKind::Ok, Some(Output::Json(found))) => assert_eq!(found.as_str(), expected, "of {arguments:?}"),
            (Err(_), OutcomeKind::InvalidArguments, _) => {}
            (_, OutcomeKind::OutOfMemory, _) if limits == LITTLE_MEMORY => {}
            _ => panic!("{arguments:?} became {outcome:?}, where {expected:?} is expected"),
        }
        assert!(outcome.usage.memory_peak_bytes <= limits.memory_bytes, "{arguments:?} took more than its limit: {outcome:?}");
        assert_eq!(bed.sandbox.guest_memory_bytes(), 0, "what was charged for {arguments:?} is given back");
    }
}
