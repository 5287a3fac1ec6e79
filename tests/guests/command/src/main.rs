//! Reads JSON from stdin and prints JSON, or what its `mode` asks for: every way in which a command can end.

use std::{
    env,
    error::Error,
    io::{self, Read, Write},
    process,
};

use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    let args: Value = serde_json::from_str(&text)?;
    let mut out = io::stdout();
    match args["mode"].as_str().unwrap_or("json") {
        "json" => {
            let environment: Vec<String> = env::vars().map(|(name, _)| name).collect();
            let arguments: Vec<String> = env::args().collect();
            let answer = json!({ "language": "rust", "args": args, "argv": arguments, "environment": environment });
            writeln!(out, "{answer}")?;
        }
        "text" => writeln!(out, "hello, {}", args["name"].as_str().unwrap_or("nobody"))?,
        "nothing" => {}
        // More than one value is no JSON.
        "lines" => out.write_all(b"{\"line\": 1}\n{\"line\": 2}\n")?,
        "binary" => out.write_all(&(0..=255).collect::<Vec<u8>>())?,
        "big" => big(&mut out, args["bytes"].as_u64().unwrap_or(9 << 20))?,
        "stderr" => {
            eprintln!("to stderr");
            eprint!("without an end of line");
            writeln!(out, "{}", json!({ "stdout": true }))?;
        }
        // What `main` returns as an error goes to stderr, and the exit code is 1.
        "fail" => return Err("asked to fail".into()),
        "exit3" => {
            writeln!(out, "written before the exit")?;
            process::exit(3);
        }
        "exit0" => {
            writeln!(out, "{}", json!({ "exited": true }))?;
            process::exit(0);
        }
        "panic" => panic!("asked to panic"),
        "loop" => loop {
            std::hint::spin_loop();
        },
        other => return Err(format!("there is no mode {other}").into()),
    }
    Ok(())
}

/// A JSON string of `bytes` bytes, quotes included.
fn big(out: &mut impl Write, bytes: u64) -> io::Result<()> {
    out.write_all(b"\"")?;
    io::copy(&mut io::repeat(b'x').take(bytes.saturating_sub(2)), out)?;
    out.write_all(b"\"")
}
