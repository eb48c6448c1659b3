//! Compiled: a graph that can be ordered, stored and compiled again to the same. Refused: each problem has a place
//! in the file. Either way nothing outside the file roots is asked for. Shared with the fuzz target `salt_sls`.

use std::{
    collections::BTreeMap,
    io,
    path::{Component, PathBuf},
};

use metalk8s_diagnostics::Problem;
use metalk8s_engine::{Graph, State, state::Contents};
use metalk8s_saltcompat::{Compiled, FileRoots, Found, compile};

/// The largest file that is ever asked for, in bytes.
const LARGEST: usize = 64 << 20;

/// File roots that watch what is asked of them.
struct Watched(BTreeMap<String, Vec<u8>>);

impl FileRoots for Watched {
    fn read(&self, path: &str, limit: usize) -> io::Result<Option<Found>> {
        assert!(limit <= LARGEST, "{path:?}, {limit}");
        stays_inside(path);
        self.0.read(path, limit)
    }

    fn find(&self, path: &str) -> io::Result<Option<PathBuf>> {
        stays_inside(path);
        self.0.find(path)
    }
}

fn stays_inside(path: &str) {
    assert!(path.split('/').all(|part| !matches!(part, "" | "." | "..")), "{path:?}");
    assert!(!path.contains(['\\', '\0']), "{path:?}");
}

pub(crate) fn check(bytes: &[u8]) {
    let files = [("web.sls", bytes), ("other.sls", b"y: {group.present: []}\n"), ("motd", b"hello\n")];
    let roots = Watched(files.map(|(path, bytes)| (path.to_owned(), bytes.to_vec())).into());
    let names = ["web".to_owned()];
    let outcome = compile(&names, &roots);
    match &outcome {
        Ok(compiled) => check_compiled(compiled),
        Err(err) => {
            assert!(!err.problems.is_empty());
            err.problems.iter().for_each(|problem| check_problem(bytes, problem));
        }
    }
    assert!(outcome == compile(&names, &roots), "compiled again, it is something else");
}

fn check_compiled(compiled: &Compiled) {
    let Compiled { graph, chunks, high } = compiled;
    assert_eq!(graph.validate(), Ok(()));
    assert!(high.is_object());
    assert!(graph.by_id().keys().copied().eq(chunks.keys()));
    for (id, chunk) in chunks {
        let key = format!("{}_|-{}_|-{}_|-{}", chunk.module, chunk.id, chunk.name, chunk.function);
        assert_eq!(id.as_str(), key);
    }
    graph.steps().iter().for_each(|step| check_paths(&step.state));
    let stored = serde_json::to_string(graph).expect("a graph can be stored");
    assert_eq!(serde_json::from_str::<Graph>(&stored).expect("what is stored is read"), *graph);
}

fn check_paths(state: &State) {
    let path = match state {
        State::File(file) => {
            if let Contents::CopyOf(source) = &file.contents {
                assert!(source.is_absolute(), "{source:?}");
            }
            &file.path
        }
        State::Directory(directory) => &directory.path,
        State::Symlink(link) => &link.path,
        State::Absent(absent) => &absent.path,
        State::Extracted(archive) => &archive.target,
        _ => return,
    };
    assert!(path.is_absolute() && path.components().all(|part| part != Component::ParentDir), "{path:?}");
}

fn check_problem(bytes: &[u8], problem: &Problem) {
    let lines = 1 + bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count();
    let file = problem.file.as_deref().expect("a problem has its file");
    assert!(!problem.message.is_empty());
    if file.ends_with("web.sls") {
        assert!(
            problem.line.is_none_or(|line| (1..=lines + 1).contains(&line)),
            "of {lines} lines: {problem}"
        );
        assert!(problem.column.is_none_or(|column| column > 0), "{problem}");
    }
}
