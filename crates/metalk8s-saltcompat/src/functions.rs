//! The state functions that are offered, by Salt's names.

mod accounts;
mod archive;
mod cmd;
mod edit;
mod file;
mod pkg;
mod refused;
mod service;
mod system;
mod trial;

use metalk8s_diagnostics::{Problem, explain};
use metalk8s_engine::State;

use crate::{args::Args, nearest};

pub(crate) use cmd::Surroundings;
pub(crate) use service::unit_name;

/// A state function.
pub(crate) struct Function {
    /// Such as `file`.
    pub(crate) module: &'static str,
    /// Such as `managed`.
    pub(crate) name: &'static str,
    /// What it does, in a line.
    pub(crate) does: &'static str,
    /// What it takes besides `name`, `names`, requisites and rules.
    pub(crate) arguments: &'static [&'static str],
    /// Makes the state; what is wrong is noted in the arguments.
    build: fn(&mut Args<'_>) -> Option<State>,
}

impl Function {
    /// Such as `file.managed`.
    pub(crate) fn full_name(&self) -> String {
        format!("{}.{}", self.module, self.name)
    }
}

const TABLES: [&[Function]; 9] = [
    file::FUNCTIONS,
    edit::FUNCTIONS,
    archive::FUNCTIONS,
    pkg::FUNCTIONS,
    service::FUNCTIONS,
    cmd::FUNCTIONS,
    system::FUNCTIONS,
    accounts::FUNCTIONS,
    trial::FUNCTIONS,
];

pub(crate) fn all() -> impl Iterator<Item = &'static Function> {
    TABLES.into_iter().flatten()
}

/// The function of a name such as `file.managed`, or what to say about an unknown one.
pub(crate) fn find(full: &str) -> Result<&'static Function, Box<Problem>> {
    let (module, name) = full.split_once('.').unwrap_or((full, ""));
    if let Some(found) = all().find(|function| function.module == module && function.name == name) {
        return Ok(found);
    }
    if let Some((why, instead)) = refused::reason(full) {
        let problem =
            Problem::new(explain::SLS_UNKNOWN_FUNCTION, format!("`{full}` is not supported: {why}"));
        return Err(Box::new(problem.found(format!("`{full}`")).accepted(instead)));
    }
    let names: Vec<String> = all().map(Function::full_name).collect();
    // Of a known module, all its functions; else what looks alike.
    let of_module = names.iter().filter(|known| known.split('.').next() == Some(module));
    let mut accepted: Vec<&str> = of_module.map(String::as_str).collect();
    if accepted.is_empty() {
        accepted = nearest::nearest(full, names.iter().map(String::as_str));
    }
    if accepted.is_empty() {
        accepted = names.iter().map(String::as_str).collect();
    }
    let words = accepted.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    let problem = Problem::new(explain::SLS_UNKNOWN_FUNCTION, format!("the function `{full}` is not known"));
    Err(Box::new(problem.found(format!("`{full}`")).accepted(words)))
}

/// Makes the state of a chunk, whose function is known.
pub(crate) fn build(args: &mut Args<'_>) -> Option<State> {
    let (module, name) = (args.chunk.module, args.chunk.function);
    let function = all().find(|function| function.module == module && function.name == name)?;
    let state = (function.build)(args);
    if args.problems.is_empty() { state } else { None }
}
