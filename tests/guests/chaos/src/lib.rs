//! Does whatever its argument `mode` says, mostly things that nobody should get away with. Imports nothing but WASI.

use std::{
    alloc::{Layout, alloc},
    hint::black_box,
    io::Write,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::Deserialize;
use serde_json::{Value, json};

wit_bindgen::generate!({
    path: ["../../../wit/script", "../../../wit/context", "../../../wit/log", "../../../wit/output", "../../../wit/state", "../../../wit/runs", "../../../wit/resources", "../../../wit/variables", "../../../wit/sql", "../../../wit/blob", "../../../wit/publish", "../../../wit/guest"],
    world: "sandmill:guest/script",
    generate_all,
});

use exports::sandmill::script::main::{Error, Guest, Output};
use sandmill::script::types::Binary;

/// Survives a run only if the sandbox lets it.
static RUNS: AtomicU32 = AtomicU32::new(0);

#[derive(Deserialize)]
struct Arguments {
    mode: String,
    /// How many, how long, how large: what the mode makes of it.
    #[serde(default)]
    n: u64,
    #[serde(default)]
    text: String,
}

struct Chaos;

impl Guest for Chaos {
    fn run(args: String) -> Result<Output, Error> {
        let arguments: Arguments = match serde_json::from_str(&args) {
            Ok(arguments) => arguments,
            Err(error) => return Err(fault("TypeError", &error.to_string(), None)),
        };
        compute(&arguments)
            .or_else(|| ends(&arguments))
            .or_else(|| world(&arguments))
            .unwrap_or_else(|| Err(fault("RangeError", &format!("no mode {}", arguments.mode), None)))
    }
}

type Ended = Option<Result<Output, Error>>;

fn value(value: Value) -> Ended {
    Some(Ok(Output::Json(value.to_string())))
}

fn fault(name: &str, message: &str, details: Option<&str>) -> Error {
    Error { name: name.into(), message: message.into(), stack: None, details: details.map(Into::into) }
}

/// What uses the processor and memory.
fn compute(arguments: &Arguments) -> Ended {
    let n = usize::try_from(arguments.n).unwrap_or(usize::MAX);
    match arguments.mode.as_str() {
        "loop" => loop {
            black_box(0);
        },
        "work" => {
            let mut sum = 0_u64;
            for i in 0..arguments.n {
                sum = black_box(sum.wrapping_mul(31).wrapping_add(i));
            }
            value(json!(sum))
        }
        // One cheap instruction that moves much memory, again and again.
        "fill" => {
            let mut buffer = vec![0_u8; n];
            let mut byte = 0_u8;
            loop {
                byte = byte.wrapping_add(1);
                black_box(&mut buffer).fill(byte);
            }
        }
        "bomb" => {
            let mut all = Vec::new();
            loop {
                all.push(black_box(vec![1_u8; 1024 * 1024]));
            }
        }
        "allocate" => {
            let buffer = black_box(vec![1_u8; n]);
            println!("allocated");
            std::thread::sleep(Duration::from_millis(arguments.text.parse().unwrap_or(0)));
            value(json!(buffer.len()))
        }
        "allocate_and_loop" => {
            let buffer = vec![1_u8; n];
            println!("allocated");
            loop {
                black_box(&buffer);
            }
        }
        "recurse" => value(json!(recurse(1))),
        "huge" => Some(Ok(Output::Json(format!("\"{}\"", "x".repeat(n.saturating_sub(2)))))),
        "huge_bytes" => Some(Ok(Output::Bytes(Binary { content_type: "application/octet-stream".into(), data: vec![7; n] }))),
        _ => None,
    }
}

fn recurse(depth: u64) -> u64 {
    if black_box(depth) == 0 { 0 } else { recurse(depth + 1) + black_box(1) }
}

/// Ways to end.
fn ends(arguments: &Arguments) -> Ended {
    match arguments.mode.as_str() {
        "echo" => Some(Ok(Output::Json(arguments.text.clone()))),
        "error" => Some(Err(Error {
            name: "CustomError".into(),
            message: "as asked".into(),
            stack: Some("at run".into()),
            details: Some(arguments.text.clone()),
        })),
        "error_huge" => Some(Err(fault("HugeError", &"m".repeat(1024 * 1024), None))),
        "panic" => panic!("as asked"),
        "unreachable" => core::arch::wasm32::unreachable(),
        "divide" => value(json!(black_box(1_u64) / black_box(arguments.n))),
        "out_of_bounds" => {
            let address = black_box(0xffff_fff0_usize) as *const u8;
            // Not defined in Rust; in the sandbox it is a trap, which is what is asked for.
            value(json!(unsafe { address.read_volatile() }))
        }
        "exit" => std::process::exit(i32::try_from(arguments.n).unwrap_or(1)),
        "layout" => {
            let layout = Layout::from_size_align(64, 8).ok()?;
            // Fresh memory is zero: what an earlier run left would show here.
            let fresh = unsafe { alloc(layout).read_volatile() };
            value(json!(fresh))
        }
        _ => None,
    }
}

/// What reaches for the world outside.
fn world(arguments: &Arguments) -> Ended {
    match arguments.mode.as_str() {
        "count" => value(json!(RUNS.fetch_add(1, Ordering::Relaxed) + 1)),
        "sleep" => {
            println!("going to sleep");
            std::thread::sleep(Duration::from_millis(arguments.n));
            value(json!("slept"))
        }
        // Waits a moment again and again: what an event loop does that has nothing to do.
        "doze" => loop {
            std::thread::sleep(Duration::from_millis(arguments.n));
        },
        "print" => {
            println!("{}", arguments.text);
            eprintln!("{}", arguments.text);
            print!("no newline");
            let _ = std::io::stdout().flush();
            value(json!(null))
        }
        "flood" => {
            for i in 0..arguments.n {
                println!("line {i} {}", "x".repeat(80));
            }
            value(json!("done"))
        }
        "flood_then_loop" => {
            println!("before the loop");
            loop {
                black_box(0);
            }
        }
        "random" => value(json!([std::collections::hash_map::RandomState::new()].map(|state| {
            use std::hash::BuildHasher;
            state.hash_one(1).to_string()
        }))),
        "clock" => {
            let before = Instant::now();
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
            value(json!({ "wall_ms": u64::try_from(wall).unwrap_or(0), "moves": before.elapsed() < Duration::from_secs(60) }))
        }
        // Host calls in a loop, which use little fuel.
        "spam" => loop {
            black_box(Instant::now());
            let _ = std::io::stdout().write(&[b'x'; 4096]);
        },
        // A millisecond of the host's work for next to no fuel.
        "randomness" => loop {
            black_box(wasip2::random::insecure::get_insecure_random_bytes(1 << 20));
            black_box(wasip2::random::random::get_random_bytes(1 << 20));
        },
        "outside" => value(json!({
            "env": std::env::vars().count(),
            "args": std::env::args().count(),
            "cwd": std::fs::read_dir(".").is_ok(),
            "root": std::fs::read_dir("/").is_ok(),
            "file": std::fs::write("/tmp/x", "x").is_ok(),
            "tcp": std::net::TcpStream::connect("127.0.0.1:80").is_ok(),
            "listen": std::net::TcpListener::bind("127.0.0.1:0").is_ok(),
            "udp": std::net::UdpSocket::bind("127.0.0.1:0").is_ok(),
            "dns": std::net::ToSocketAddrs::to_socket_addrs(&("localhost", 80)).is_ok(),
            "stdin": std::io::read_to_string(std::io::stdin()).map_or(0, |text| text.len()),
        })),
        _ => None,
    }
}

export!(Chaos);
