//! A component that returns what it is given, of any type.

use crate::types::{Type, declare};

/// Parameters beside the value: with so many the arguments are in memory and not in registers.
pub(crate) const PADS: usize = 8;

/// `echo: func(v: T, p0: option<u8>, …) -> tuple<T, bool>`. Its core function returns the place of its arguments: the value is at the beginning of both,
/// and where the bool is, the first of the others says whether it is there.
pub(crate) fn component(ty: &Type) -> String {
    let mut types = String::new();
    let ty = declare(ty, &mut types);
    let pads: String = (0..PADS).map(|pad| format!(" (param \"p{pad}\" (option u8))")).collect();
    format!(
        r#"(component
{types}
(core module $m
  (memory (export "m") 1)
  (global $free (mut i32) (i32.const 16))
  (func (export "r") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $free) (i32.sub (local.get 2) (i32.const 1))) (i32.sub (i32.const 0) (local.get 2))))
    (global.set $free (i32.add (local.get $at) (local.get 3)))
    (block $fits
      (loop $more
        (br_if $fits (i32.le_u (global.get $free) (i32.mul (memory.size) (i32.const 65536))))
        (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))
        (unreachable)))
    (local.get $at))
  (func (export "f") (param i32) (result i32) (local.get 0)))
(core instance $i (instantiate $m))
(func $f (param "v" {ty}){pads} (result (tuple {ty} bool))
  (canon lift (core func $i "f") (memory (core memory $i "m")) (realloc (core func $i "r"))))
(export "echo" (func $f)))"#
    )
}
