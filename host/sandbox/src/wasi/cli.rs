//! `wasi:cli`: an empty environment, no arguments, stdio, and an exit that ends the run.

use sandmill_model::LogStream;
use wasmtime::{Result, component::Resource};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream,
    bindings::cli::{
        environment, exit, stderr, stdin, stdout, terminal_input, terminal_output, terminal_stderr, terminal_stdin, terminal_stdout,
    },
};

use super::stdio::{Closed, log_writer, result_writer};
use crate::{guest::Core, stop::Stop};

/// What every program finds itself called.
const PROGRAM_NAME: &str = "script";

impl environment::Host for Core {
    fn get_environment(&mut self) -> Result<Vec<(String, String)>> {
        Ok(Vec::new())
    }

    fn get_arguments(&mut self) -> Result<Vec<String>> {
        // Programs take for granted that there is a name before their arguments.
        Ok(vec![PROGRAM_NAME.to_owned()])
    }

    fn initial_cwd(&mut self) -> Result<Option<String>> {
        Ok(None)
    }
}

impl exit::Host for Core {
    fn exit(&mut self, status: Result<(), ()>) -> Result<()> {
        Err(Stop::Exit { code: u8::from(status.is_err()) }.into())
    }

    fn exit_with_code(&mut self, code: u8) -> Result<()> {
        Err(Stop::Exit { code }.into())
    }
}

impl stdin::Host for Core {
    fn get_stdin(&mut self) -> Result<Resource<DynInputStream>> {
        let stream: DynInputStream = match &self.pipes {
            Some(pipes) => Box::new(pipes.stdin.clone()),
            None => Box::new(Closed),
        };
        Ok(self.table.push(stream)?)
    }
}

impl Core {
    fn writer(&mut self, stream: LogStream) -> Result<Resource<DynOutputStream>> {
        let stream = log_writer(self, stream);
        Ok(self.table.push(stream)?)
    }
}

impl stdout::Host for Core {
    fn get_stdout(&mut self) -> Result<Resource<DynOutputStream>> {
        if let Some(pipes) = &self.pipes {
            let stream = result_writer(self, &pipes.stdout);
            return Ok(self.table.push(stream)?);
        }
        self.writer(LogStream::Stdout)
    }
}

impl stderr::Host for Core {
    fn get_stderr(&mut self) -> Result<Resource<DynOutputStream>> {
        self.writer(LogStream::Stderr)
    }
}

impl terminal_input::Host for Core {}

impl terminal_input::HostTerminalInput for Core {
    fn drop(&mut self, terminal: Resource<terminal_input::TerminalInput>) -> Result<()> {
        self.table.delete(terminal)?;
        Ok(())
    }
}

impl terminal_output::Host for Core {}

impl terminal_output::HostTerminalOutput for Core {
    fn drop(&mut self, terminal: Resource<terminal_output::TerminalOutput>) -> Result<()> {
        self.table.delete(terminal)?;
        Ok(())
    }
}

impl terminal_stdin::Host for Core {
    fn get_terminal_stdin(&mut self) -> Result<Option<Resource<terminal_input::TerminalInput>>> {
        Ok(None)
    }
}

impl terminal_stdout::Host for Core {
    fn get_terminal_stdout(&mut self) -> Result<Option<Resource<terminal_output::TerminalOutput>>> {
        Ok(None)
    }
}

impl terminal_stderr::Host for Core {
    fn get_terminal_stderr(&mut self) -> Result<Option<Resource<terminal_output::TerminalOutput>>> {
        Ok(None)
    }
}
