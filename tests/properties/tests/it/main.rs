//! Each property for some seconds, with the same inputs every time. `cargo xtask fuzz` looks for others.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use sandmill_properties::{upload, upload_generated, values, values_bytes};

const INPUTS_MAX: u64 = 2_000;
const BUDGET: Duration = Duration::from_secs(10);

/// Bytes that are others for each seed, and the same ones every time.
fn noise(seed: u64) -> impl FnMut() -> u8 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    }
}

fn bytes(seed: u64, length: usize) -> Vec<u8> {
    std::iter::repeat_with(noise(seed)).take(length).collect()
}

/// Says how many of the inputs it was that the property counts.
fn hold(name: &str, input: impl Fn(u64) -> Vec<u8>, property: impl Fn(&[u8]) -> bool) -> usize {
    let began = Instant::now();
    let seeds = (0..INPUTS_MAX).take_while(|_| began.elapsed() < BUDGET);
    let held: Vec<bool> = seeds.map(|seed| property(&input(seed))).collect();
    let counted = held.iter().filter(|held| **held).count();
    println!("{name}: {} inputs, {counted} taken, {:?}", held.len(), began.elapsed());
    counted
}

/// The checked-in seeds of a fuzz target.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// One of the seeds, the first ones as they are, then with a few bytes of noise in it.
fn damaged(seeds: &[Vec<u8>], number: u64) -> Vec<u8> {
    let number_of_seeds = seeds.len() as u64;
    let mut bytes = seeds[(number % number_of_seeds) as usize].clone();
    let mut noise = noise(number);
    for _ in 0..number / number_of_seeds % 4 {
        let at = usize::from(u16::from_le_bytes([noise(), noise()])) % bytes.len();
        bytes[at] = noise();
    }
    bytes
}

#[test]
fn any_bytes_can_be_uploaded() {
    let seeds = seeds("upload");
    let taken = hold("upload", |number| damaged(&seeds, number), upload);
    assert!(taken >= seeds.len(), "of {} seeds as they are {taken} were taken", seeds.len());
}

#[test]
fn whatever_can_be_encoded_can_be_uploaded() {
    let taken = hold("upload_generated", |seed| bytes(seed, 4096), upload_generated);
    assert!(taken >= 20, "{taken}");
}

#[test]
fn values_come_back_as_they_went() {
    hold(
        "values",
        |seed| bytes(seed, 512),
        |data| {
            values(data);
            true
        },
    );
}

#[test]
fn any_text_can_be_arguments() {
    let seeds = seeds("values_bytes");
    hold(
        "values_bytes",
        |number| damaged(&seeds, number),
        |data| {
            values_bytes(data);
            true
        },
    );
}
