//! The program `metalk8s-build`, which `./doit.sh` runs.

use std::process::ExitCode;

fn main() -> ExitCode {
    metalk8s_build::cli::main()
}
