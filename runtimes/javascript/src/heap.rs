//! malloc for C and Rust alike, with one trait that libc's lacks: it can turn over a new leaf.
//!
//! Building the engine leaves a heap full of holes. If runs filled them, each would dirty pages all over the
//! snapshot, and what a run costs is mostly the pages that it dirties. So what is allocated after `seal` comes
//! from memory of its own, and what lay there before is never given back: hardly any of it is ever freed.

use dlmalloc::Dlmalloc;
use std::{arch::wasm32, cell::UnsafeCell, ffi::c_void, ptr::null_mut};

const WASM_PAGE_BYTES: usize = 64 * 1024;

/// Part of the snapshot, though not of its size, so that most runs need not grow the memory. Makes two steps of growth.
const FIRST_BYTES: usize = 512 * 1024 - 4096;

/// By how much the memory grows after that: growing is a call to the host each time.
const GROWTH_BYTES: usize = 256 * 1024;

struct Heap {
    current: Dlmalloc,
    /// Everything below was allocated before `seal`.
    sealed_below: usize,
}

struct Single(UnsafeCell<Heap>);

// SAFETY: a component instance has one thread.
unsafe impl Sync for Single {}

static HEAP: Single = Single(UnsafeCell::new(Heap { current: Dlmalloc::new(), sealed_below: 0 }));

/// Leaves everything allocated so far alone from now on.
pub fn seal() {
    // SAFETY: one thread, and no allocation is under way.
    unsafe {
        let heap = &mut *HEAP.0.get();
        heap.sealed_below = wasm32::memory_size(0) * WASM_PAGE_BYTES;
        heap.current = Dlmalloc::new();
        heap.current.set_granularity(GROWTH_BYTES);
        // Asked for at once, so that it is one piece.
        let first = heap.current.c_malloc(FIRST_BYTES);
        heap.current.c_free(first);
    }
}

/// dlmalloc keeps the size of a chunk, with three bits of flags, in the word before its memory; the word after
/// the memory is the chunk's too.
unsafe fn usable_bytes(memory: *mut u8) -> usize {
    // SAFETY: the caller's pointer came from one of the functions below.
    let head = unsafe { memory.cast::<usize>().sub(1).read() };
    (head & !7) - size_of::<usize>()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn malloc(bytes: usize) -> *mut c_void {
    // SAFETY: one thread.
    unsafe { (*HEAP.0.get()).current.c_malloc(bytes).cast() }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn calloc(count: usize, bytes: usize) -> *mut c_void {
    let Some(bytes) = count.checked_mul(bytes) else {
        return null_mut();
    };
    // SAFETY: as malloc, and the memory is as large as what is cleared.
    unsafe { (*HEAP.0.get()).current.calloc(bytes, size_of::<usize>() * 2).cast() }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn free(memory: *mut c_void) {
    // SAFETY: C's contract of free; below the seal nothing happens.
    unsafe {
        let heap = &mut *HEAP.0.get();
        if memory as usize >= heap.sealed_below && !memory.is_null() {
            heap.current.c_free(memory.cast());
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn realloc(memory: *mut c_void, bytes: usize) -> *mut c_void {
    // SAFETY: C's contract of realloc; what is sealed moves.
    unsafe {
        let heap = &mut *HEAP.0.get();
        if memory.is_null() || memory as usize >= heap.sealed_below {
            return heap.current.c_realloc(memory.cast(), bytes).cast();
        }
        let usable = usable_bytes(memory.cast());
        if bytes <= usable {
            return memory;
        }
        let moved = heap.current.c_malloc(bytes);
        if !moved.is_null() {
            moved.copy_from_nonoverlapping(memory.cast(), usable);
        }
        moved.cast()
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn aligned_alloc(alignment: usize, bytes: usize) -> *mut c_void {
    // SAFETY: one thread.
    unsafe { (*HEAP.0.get()).current.c_memalign(alignment, bytes).cast() }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn posix_memalign(result: *mut *mut c_void, alignment: usize, bytes: usize) -> i32 {
    // SAFETY: C's contract of posix_memalign.
    unsafe {
        let memory = aligned_alloc(alignment, bytes);
        if memory.is_null() {
            return 48; // ENOMEM of WASI
        }
        result.write(memory);
    }
    0
}

/// What QuickJS counts to know when to collect garbage.
#[unsafe(no_mangle)]
unsafe extern "C" fn malloc_usable_size(memory: *mut c_void) -> usize {
    // SAFETY: C's contract of malloc_usable_size.
    if memory.is_null() { 0 } else { unsafe { usable_bytes(memory.cast()) } }
}
