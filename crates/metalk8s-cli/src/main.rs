//! The program `metalk8s`: one program with many names.

use std::process::ExitCode;

fn main() -> ExitCode {
    metalk8s_cli::main(std::env::args_os()).into()
}
