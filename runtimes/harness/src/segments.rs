//! Merges the data segments of a pre-initialised component.
//!
//! A snapshot leaves thousands of small segments. That costs nothing until it is snapshotted in turn, with a script:
//! then each becomes an empty passive one, and wasmtime lists those anew for every instance (35 us for 10,000).

use anyhow::{Result, bail, ensure};
use wasmparser::{BinaryReader, ConstExpr, DataKind, DataSectionReader, Operator, Parser, Payload};

/// Zeros up to this number are written out rather than left to a new segment.
const GAP_BYTES_MAX: u32 = 4096;

const MODULE_SECTION: u8 = 1;
const DATA_SECTION: u8 = 11;
const DATA_COUNT_SECTION: u8 = 12;
const HEADER_BYTES: usize = 8;

pub(crate) fn merge(component: &[u8]) -> Result<Vec<u8>> {
    let mut merged = component[..HEADER_BYTES].to_vec();
    for (id, content) in sections(component)? {
        match id {
            MODULE_SECTION => write_section(&mut merged, id, &merge_module(content)?),
            _ => write_section(&mut merged, id, content),
        }
    }
    wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all()).validate_all(&merged)?;
    Ok(merged)
}

fn merge_module(module: &[u8]) -> Result<Vec<u8>> {
    let sections = sections(module)?;
    let Some((_, data)) = sections.iter().find(|(id, _)| *id == DATA_SECTION) else {
        return Ok(module.to_vec());
    };
    ensure!(!uses_segments(module)?, "code refers to data segments by number");
    let segments = merge_segments(data)?;
    let mut merged = module[..HEADER_BYTES].to_vec();
    for (id, content) in sections {
        match id {
            DATA_COUNT_SECTION => write_section(&mut merged, id, &leb(segments.len() as u64)),
            DATA_SECTION => write_section(&mut merged, id, &write_segments(&segments)),
            _ => write_section(&mut merged, id, content),
        }
    }
    Ok(merged)
}

fn sections(wasm: &[u8]) -> Result<Vec<(u8, &[u8])>> {
    let mut reader = BinaryReader::new(&wasm[HEADER_BYTES..], 0);
    let mut sections = Vec::new();
    while !reader.eof() {
        let id = reader.read_u8()?;
        let bytes = reader.read_var_u32()? as usize;
        sections.push((id, reader.read_bytes(bytes)?));
    }
    Ok(sections)
}

fn uses_segments(module: &[u8]) -> Result<bool> {
    for payload in Parser::new(0).parse_all(module) {
        let Payload::CodeSectionEntry(body) = payload? else { continue };
        for operator in body.get_operators_reader()? {
            if matches!(operator?, Operator::MemoryInit { .. } | Operator::DataDrop { .. }) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Offset and content, in order; passive segments, which nothing refers to, are left out.
fn merge_segments(section: &[u8]) -> Result<Vec<(u32, Vec<u8>)>> {
    let mut segments: Vec<(u32, &[u8])> = Vec::new();
    for segment in DataSectionReader::new(BinaryReader::new(section, 0))? {
        let segment = segment?;
        if let DataKind::Active { memory_index: 0, offset_expr } = segment.kind {
            segments.push((constant(&offset_expr)?, segment.data));
        }
    }
    segments.sort_by_key(|(offset, _)| *offset);
    let mut merged: Vec<(u32, Vec<u8>)> = Vec::new();
    for (offset, data) in segments {
        match merged.last_mut() {
            Some((start, content)) if offset - *start <= content.len() as u32 + GAP_BYTES_MAX => {
                content.resize((offset - *start) as usize, 0);
                content.extend_from_slice(data);
            }
            _ => merged.push((offset, data.to_vec())),
        }
    }
    Ok(merged)
}

fn constant(expression: &ConstExpr<'_>) -> Result<u32> {
    match expression.get_operators_reader().read()? {
        Operator::I32Const { value } => Ok(value.cast_unsigned()),
        other => bail!("a data segment at {other:?}"),
    }
}

fn write_segments(segments: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut section = leb(segments.len() as u64);
    for (offset, content) in segments {
        // Active, in memory 0, at `i32.const offset`.
        section.extend([0x00, 0x41]);
        section.extend(signed_leb(i64::from(offset.cast_signed())));
        section.push(0x0b);
        section.extend(leb(content.len() as u64));
        section.extend(content);
    }
    section
}

fn write_section(wasm: &mut Vec<u8>, id: u8, content: &[u8]) {
    wasm.push(id);
    wasm.extend(leb(content.len() as u64));
    wasm.extend(content);
}

fn leb(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

fn signed_leb(mut value: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        let is_last = (value == 0 && low & 0x40 == 0) || (value == -1 && low & 0x40 != 0);
        if is_last {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}
