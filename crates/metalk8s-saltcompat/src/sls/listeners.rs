//! `listen`: states that react once, after all others, to those that changed.

use std::collections::BTreeMap;

use metalk8s_diagnostics::{Problem, explain};
use metalk8s_engine::{
    Graph, RequisiteKind, State, StateId,
    state::{Command, Service},
};

use super::{Chunk, ChunkInfo};

/// Salt's name of the function that such a state has.
pub(crate) const MOD_WATCH: &str = "mod_watch";

/// Adds a state for each chunk that listens, behind all others. It does nothing but react, and only where one
/// of those it listens to changed.
pub(super) fn add(
    listening: &[(usize, usize)],
    chunks: &[Chunk],
    ids: &[Option<StateId>],
    graph: &mut Graph,
    infos: &mut BTreeMap<StateId, ChunkInfo>,
) -> Vec<Problem> {
    let mut by_listener: BTreeMap<usize, Vec<&StateId>> = BTreeMap::new();
    for (listener, listened) in listening {
        by_listener.entry(*listener).or_default().extend(&ids[*listened]);
    }
    let mut problems = Vec::new();
    for (listener, all) in by_listener {
        let (chunk, Some(id)) = (&chunks[listener], &ids[listener]) else { continue };
        let Some(state) = graph.get(id.as_str()).and_then(|step| reaction(&step.state)) else {
            let message = format!("`{}.{}` has nothing to do when it listens", chunk.module, chunk.function);
            let problem = Problem::new(explain::SLS_BAD_VALUE, message).key(chunk.id.clone());
            problems.push(chunk.at_declaration(problem.accepted("`service.running`, `cmd.run`, `cmd.wait`")));
            continue;
        };
        let info = ChunkInfo {
            id: format!("listener_{}", chunk.id),
            function: MOD_WATCH.to_owned(),
            ..chunk.info()
        };
        let added = graph.add(info.key(), state);
        for on in all {
            graph.depend(&added, RequisiteKind::OnChanges, on);
            graph.watch(&added, on);
        }
        infos.insert(added, info);
    }
    problems
}

fn reaction(state: &State) -> Option<State> {
    match state {
        State::Service(service @ Service { running: Some(true), .. }) => {
            Some(State::Service(service.clone()))
        }
        State::Command(command) => Some(State::Command(Command { only_on_change: true, ..command.clone() })),
        _ => None,
    }
}
