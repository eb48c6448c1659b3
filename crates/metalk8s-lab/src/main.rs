//! The program `metalk8s-lab`, called by the front door `./lab`.

use clap::Parser;
use metalk8s_diagnostics::{Exit, Printer};

mod args;
mod checkout;
mod commands;

fn main() -> Exit {
    let arguments = match args::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version come this way too, and are no mistakes.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            // A terminal that went away does not need to be told.
            let _ = error.print();
            return exit;
        }
    };
    let mut printer = Printer::new(arguments.common.quiet);
    match commands::run(&arguments, &mut printer) {
        Ok(exit) => exit,
        Err(error) => {
            printer.error(error.as_ref());
            Exit::Failed
        }
    }
}
