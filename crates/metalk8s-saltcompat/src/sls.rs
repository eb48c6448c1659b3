//! SLS files as a graph of the engine.

mod declarations;
mod files;
mod listeners;
mod requisites;
mod rules;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::PathBuf};

use metalk8s_diagnostics::{Problem, Problems, explain};
use metalk8s_engine::{Graph, GraphError, StateId};
use serde_json::{Value as Json, json};

use crate::{FileRoots, Words, args::Args, functions, yaml::Node};

pub(crate) use declarations::{Argument, requisites_of_states};
pub(crate) use listeners::MOD_WATCH;
pub(crate) use requisites::Reference;

/// States that come from SLS files, ready to be applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Compiled {
    /// The states; their names in the graph are Salt's, `file_|-id_|-name_|-managed`. Apply them with
    /// [`metalk8s_engine::ApplyOptions::in_order`]: Salt's users rely on the order of the file.
    pub graph: Graph,
    /// What Salt knows about each state, by its name in the graph.
    pub chunks: BTreeMap<StateId, ChunkInfo>,
    /// The files as Salt's `state.show_sls` shows them.
    pub high: Json,
}

/// What Salt knows about a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkInfo {
    /// The id it is declared under.
    pub id: String,
    /// Its name, which is its id unless it says otherwise.
    pub name: String,
    /// The state module, such as `file`.
    pub module: String,
    /// The function, such as `managed`.
    pub function: String,
    /// The SLS file, such as `web.nginx`.
    pub sls: String,
}

/// One state as it is declared.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) module: &'static str,
    pub(crate) function: &'static str,
    pub(crate) sls: String,
    /// The file, for messages; `None` where it comes from a command line.
    pub(crate) file: Option<PathBuf>,
    /// Where it is declared, from 1.
    pub(crate) line: usize,
    pub(crate) column: usize,
    /// Its place among all states, from `order`.
    pub(crate) order: Option<i64>,
    pub(crate) arguments: Vec<Argument>,
    pub(crate) references: Vec<Reference>,
}

/// Reads the named SLS files with all they include and turns them into a graph.
///
/// # Errors
/// All mistakes found, each with its place.
pub fn compile(names: &[String], roots: &dyn FileRoots) -> Result<Compiled, Problems> {
    let mut problems = Vec::new();
    let files = files::load(names, roots, &mut problems);
    let mut chunks = Vec::new();
    let mut high = serde_json::Map::new();
    for file in &files {
        chunks.extend(declarations::read(file, &mut high, &mut problems));
    }
    declarations::refuse_duplicates(&mut chunks, &mut problems);
    rules::sort(&mut chunks);
    build(&chunks, high.into(), roots, problems, &format!("could not read the states `{}`", names.join(", ")))
}

/// One state from the words of a command line, as in `state.single file.managed /etc/motd contents=hello`.
///
/// # Errors
/// All mistakes found.
pub fn single(words: &Words, roots: &dyn FileRoots) -> Result<Compiled, Problems> {
    let mut problems = Vec::new();
    let chunks: Vec<Chunk> = declarations::from_words(words, &mut problems).into_iter().collect();
    build(&chunks, json!({}), roots, problems, "could not read the state")
}

fn build(
    chunks: &[Chunk],
    high: Json,
    roots: &dyn FileRoots,
    mut problems: Vec<Problem>,
    doing: &str,
) -> Result<Compiled, Problems> {
    let mut graph = Graph::default();
    let mut infos = BTreeMap::new();
    let mut ids: Vec<Option<StateId>> = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        let mut args = Args::new(chunk, roots);
        let state = functions::build(&mut args);
        let rules = rules::Rules::read(&mut args);
        problems.append(&mut args.problems);
        let key = chunk.key();
        let id = match state {
            Some(state) if graph.get(&key).is_none() => Some(graph.add(key, state)),
            Some(_) => {
                let message = format!("`{}` is declared twice with the name `{}`", chunk.id, chunk.name);
                problems.push(chunk.at_declaration(Problem::new(explain::SLS_DUPLICATE, message)));
                None
            }
            None => None,
        };
        if let Some(id) = &id {
            rules.put(&mut graph, id);
            infos.insert(id.clone(), chunk.info());
        }
        ids.push(id);
    }
    let listening = requisites::connect(chunks, &ids, &mut graph, &mut problems);
    problems.extend(listeners::add(&listening, chunks, &ids, &mut graph, &mut infos));
    if problems.is_empty()
        && let Err(err) = graph.validate()
    {
        problems.push(unordered(&err, &infos, chunks));
    }
    Problems::check(doing, problems)?;
    Ok(Compiled { graph, chunks: infos, high })
}

fn unordered(err: &GraphError, infos: &BTreeMap<StateId, ChunkInfo>, chunks: &[Chunk]) -> Problem {
    let GraphError::Cycle(cycle) = err else {
        return Problem::new(explain::SLS_CYCLE, err.to_string());
    };
    let names: Vec<String> = cycle
        .iter()
        .filter_map(|id| infos.get(id))
        .map(|info| format!("{}: {}", info.module, info.id))
        .collect();
    let problem = Problem::new(
        explain::SLS_CYCLE,
        format!("these states wait for one another: {}", names.join(" -> ")),
    );
    let first = cycle.first().and_then(|id| chunks.iter().find(|chunk| chunk.key() == id.as_str()));
    match first {
        Some(chunk) => chunk.at_declaration(problem),
        None => problem,
    }
}

impl ChunkInfo {
    /// Salt's name of the state.
    pub(crate) fn key(&self) -> String {
        let Self { id, name, module, function, sls: _ } = self;
        format!("{module}_|-{id}_|-{name}_|-{function}")
    }
}

impl Chunk {
    fn key(&self) -> String {
        self.info().key()
    }

    fn info(&self) -> ChunkInfo {
        ChunkInfo {
            id: self.id.clone(),
            name: self.name.clone(),
            module: self.module.to_owned(),
            function: self.function.to_owned(),
            sls: self.sls.clone(),
        }
    }

    /// Gives a problem the place of a node of this state.
    pub(crate) fn place(&self, problem: Problem, node: &Node) -> Problem {
        match &self.file {
            Some(file) if node.line > 0 => problem.at(file, node.line, node.column),
            Some(file) => problem.in_file(file),
            None => problem,
        }
    }

    /// Gives a problem the place of this state.
    pub(crate) fn at_declaration(&self, problem: Problem) -> Problem {
        match &self.file {
            Some(file) => problem.at(file, self.line, self.column),
            None => problem,
        }
    }
}
