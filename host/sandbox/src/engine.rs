//! The engine's configuration, in one place: the build workers compile with it and the sandbox runs what they made.

use wasmtime::{Config, Enabled, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Stack of a guest; past it the run traps with `stack_overflow`.
const WASM_STACK_BYTES_MAX: usize = MIB;
/// Stack of a guest and of the host functions that it calls.
const FIBER_STACK_BYTES: usize = 2 * MIB;
/// Address space of one linear memory: all that a 32-bit guest can have, so that no access needs a bounds check.
const MEMORY_BYTES_MAX: usize = 4096 * MIB;
const MEMORY_GUARD_BYTES: u64 = 32 * MIB as u64;
/// Elements of one table. `CPython` has some 20,000.
const TABLE_ELEMENTS_MAX: usize = 100_000;
/// Linear memories and tables of one component, its parts together.
const MEMORIES_PER_COMPONENT_MAX: u32 = 8;
const TABLES_PER_COMPONENT_MAX: u32 = 32;
const CORE_INSTANCES_PER_COMPONENT_MAX: u32 = 128;
/// Tables that the pool has for each instance's worth of room; see [`instance_weight`].
const TABLES_PER_INSTANCE: u32 = 4;

/// Memory that a free slot keeps, reset by copying, so that the next run of the same program takes no page faults.
const MEMORY_RESIDENT_BYTES: usize = 4 * MIB;
const TABLE_RESIDENT_BYTES: usize = MIB;
/// The same where the kernel cannot tell which pages were written (Linux before 6.7): there it would copy all of it each time.
const RESIDENT_BYTES_WITHOUT_PAGEMAP: usize = 64 * KIB;
/// Slots whose memory goes back to the kernel in one go. One: what a run has given back is counted as free, and must be; and who took much
/// gives it back in a turn of its own workspace, not that of sixteen runs in one.
const DECOMMIT_BATCH: usize = 1;
/// Free slots that keep the image of the program they held last.
const WARM_SLOTS_MAX: u32 = 256;

/// Instances that the pool has room for.
#[derive(Clone, Copy, Debug)]
pub struct PoolSize {
    pub instances: u32,
}

impl PoolSize {
    /// Room for one component, whichever it is: what does not fit has more than any run can have.
    pub const ONE: Self = Self { instances: MEMORIES_PER_COMPONENT_MAX };
}

/// Configuration of every engine that compiles or runs guests. Without a pool it is for compiling only; the code is the same.
#[must_use]
pub fn engine_config(pooling: Option<&PoolSize>) -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        // Our contract is WASI 0.2, synchronous: a store without the machinery of component-model async is cheaper to make.
        .concurrency_support(false)
        .consume_fuel(true)
        .cranelift_nan_canonicalization(true)
        .cranelift_opt_level(OptLevel::Speed)
        .max_wasm_stack(WASM_STACK_BYTES_MAX)
        .async_stack_size(FIBER_STACK_BYTES)
        .memory_reservation(MEMORY_BYTES_MAX as u64)
        .memory_guard_size(MEMORY_GUARD_BYTES)
        .memory_may_move(false)
        .memory_init_cow(true)
        .signals_based_traps(true)
        .wasm_simd(true)
        .wasm_relaxed_simd(true)
        .relaxed_simd_deterministic(true)
        .wasm_bulk_memory(true)
        .wasm_multi_value(true)
        .wasm_tail_call(true)
        .wasm_extended_const(true)
        .gc_support(false)
        .wasm_reference_types(true)
        .wasm_function_references(false)
        .wasm_gc(false)
        .wasm_exceptions(false)
        .wasm_threads(false)
        .wasm_memory64(false)
        // What joins two parts of one component sees the memory of both; without it, compiling such a component panics.
        .wasm_multi_memory(true)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false);
    if let Some(size) = pooling {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(*size)));
    }
    config
}

/// The same for what is made of WASI 0.3. Such an engine makes slower code and slower stores, so it runs nothing else (ADR 15).
#[must_use]
pub fn async_engine_config(pooling: Option<&PoolSize>) -> Config {
    let mut config = engine_config(pooling);
    if let Some(size) = pooling {
        let mut pool = pool(*size);
        // A guest may wait on one while another takes what comes in.
        pool.total_stacks(size.instances.saturating_mul(2));
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    config
        .concurrency_support(true)
        .wasm_component_model_async(true)
        // Streams within a guest move its memory at a stretch and for next to no fuel: so time counts, too.
        .epoch_interruption(true);
    config
}

fn pool(size: PoolSize) -> PoolingAllocationConfig {
    let pagemap = PoolingAllocationConfig::is_pagemap_scan_available();
    let resident = |bytes: usize| if pagemap { bytes } else { bytes.min(RESIDENT_BYTES_WITHOUT_PAGEMAP) };
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(size.instances)
        // Core instances are only counted, so there are enough of them for all components at their limit.
        .total_core_instances(size.instances.saturating_mul(CORE_INSTANCES_PER_COMPONENT_MAX))
        .total_memories(size.instances)
        .total_tables(size.instances.saturating_mul(TABLES_PER_INSTANCE))
        .total_stacks(size.instances)
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT_MAX)
        .max_memories_per_component(MEMORIES_PER_COMPONENT_MAX)
        .max_tables_per_component(TABLES_PER_COMPONENT_MAX)
        .max_tables_per_module(TABLES_PER_COMPONENT_MAX)
        .max_memories_per_module(MEMORIES_PER_COMPONENT_MAX)
        .max_memory_size(MEMORY_BYTES_MAX)
        .table_elements(TABLE_ELEMENTS_MAX)
        .linear_memory_keep_resident(resident(MEMORY_RESIDENT_BYTES))
        .table_keep_resident(resident(TABLE_RESIDENT_BYTES))
        .pagemap_scan(Enabled::Auto)
        .decommit_batch_size(DECOMMIT_BATCH)
        .max_unused_warm_slots(WARM_SLOTS_MAX.min(size.instances));
    pool
}

/// How many instances' worth of the pool a component takes, by its linear memories and tables.
pub(crate) fn instance_weight(memories: u32, tables: u32) -> u32 {
    memories.max(tables.div_ceil(TABLES_PER_INSTANCE)).max(1)
}
