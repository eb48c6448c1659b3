//! `metalk8s explain`.

use metalk8s_diagnostics::{Diagnosed, Exit, Printer, explain};

use crate::args;

/// Prints what a code means, or all codes.
pub(crate) fn run(args: &args::Explain, printer: &mut Printer) -> anyhow::Result<Exit> {
    let Some(code) = &args.code else {
        let lines: Vec<_> = explain::all().map(|known| format!("{}  {}", known.code, known.title)).collect();
        printer.data(&lines.join("\n"));
        return Ok(Exit::Done);
    };
    match explain::explain(code) {
        Some(explanation) => {
            printer.explanation(explanation);
            Ok(Exit::Done)
        }
        None => {
            let near: Vec<_> = explain::nearest(code).iter().map(|near| format!("`{near}`")).collect();
            let hint =
                if near.is_empty() { String::new() } else { format!("; near it are {}", near.join(", ")) };
            let error = format!("there is no code `{code}`{hint}");
            Err(Diagnosed::with_code(explain::WRONG_USAGE, error).into())
        }
    }
}
