//! Requisites between states, by id, by name and by file.

use std::collections::HashMap;

use metalk8s_diagnostics::{Problem, explain};
use metalk8s_engine::{Graph, RequisiteKind, StateId};

use super::Chunk;
use crate::{
    nearest::accepted,
    yaml::{Node, Value},
};

/// Pairs of states that requisites may make. `sls` names all states of a file, so their number grows with its square.
const MAX_PAIRS: usize = 50_000;
/// For how many references that lead nowhere similar names are looked for, among all states.
const MAX_SUGGESTIONS: usize = 200;

/// A word that orders states.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word {
    word: &'static str,
    relation: Relation,
    /// `require_in` and so on: the other state depends on this one.
    inverse: bool,
}

/// How one state stands to another.
#[derive(Debug, Clone, Copy)]
enum Relation {
    Edge(RequisiteKind),
    /// It reacts at the end.
    Listen,
}

const WORDS: [Word; 12] = [
    Word::edge("require", RequisiteKind::Require, false),
    Word::edge("require_in", RequisiteKind::Require, true),
    Word::edge("watch", RequisiteKind::Watch, false),
    Word::edge("watch_in", RequisiteKind::Watch, true),
    Word::edge("onchanges", RequisiteKind::OnChanges, false),
    Word::edge("onchanges_in", RequisiteKind::OnChanges, true),
    Word::edge("onfail", RequisiteKind::OnFail, false),
    Word::edge("onfail_in", RequisiteKind::OnFail, true),
    Word::edge("prereq", RequisiteKind::Prereq, false),
    Word::edge("prereq_in", RequisiteKind::Prereq, true),
    Word { word: "listen", relation: Relation::Listen, inverse: false },
    Word { word: "listen_in", relation: Relation::Listen, inverse: true },
];

impl Word {
    const fn edge(word: &'static str, kind: RequisiteKind, inverse: bool) -> Self {
        Self { word, relation: Relation::Edge(kind), inverse }
    }
}

/// One reference to another state, or to all states of a file.
#[derive(Debug, Clone)]
pub(crate) struct Reference {
    relation: Relation,
    inverse: bool,
    /// `file`, `sls`; `None` where only the id is given.
    module: Option<String>,
    target: String,
    /// Where it stands.
    node: Node,
}

pub(super) fn word(text: &str) -> Option<Word> {
    WORDS.into_iter().find(|word| word.word == text)
}

pub(super) fn words() -> impl Iterator<Item = &'static str> + Clone {
    WORDS.into_iter().map(|word| word.word)
}

impl Reference {
    /// Reads `[{file: a}, b]`, or a single one of these.
    pub(super) fn read(word: Word, value: &Node, chunk: &Chunk, problems: &mut Vec<Problem>) -> Vec<Self> {
        let items = match &value.value {
            Value::List(items) => items.as_slice(),
            Value::Scalar { .. } | Value::Map(_) => std::slice::from_ref(value),
        };
        let mut references = Vec::with_capacity(items.len());
        for item in items {
            let (module, target) = match (item.text(), item.single()) {
                (Some(id), _) => (None, Some(id)),
                (None, Some((module, target))) => (module.text(), target.text()),
                (None, None) => (None, None),
            };
            match target {
                Some(target) => references.push(Self {
                    relation: word.relation,
                    inverse: word.inverse,
                    module: module.map(str::to_owned),
                    target: target.to_owned(),
                    node: item.clone(),
                }),
                None => {
                    let message = format!("`{}` lists states", word.word);
                    let problem = Problem::new(explain::SLS_BAD_VALUE, message)
                        .found(item.shown())
                        .accepted("a module with an id or a name, such as `file: /etc/motd`");
                    problems.push(chunk.place(problem, item).key(chunk.id.clone()));
                }
            }
        }
        references
    }
}

/// Adds all edges to the graph; `ids` are the chunks' names in it, where they got in. Returns who listens to
/// whom.
pub(super) fn connect(
    chunks: &[Chunk],
    ids: &[Option<StateId>],
    graph: &mut Graph,
    problems: &mut Vec<Problem>,
) -> Vec<(usize, usize)> {
    let mut listening = Vec::new();
    let index = Index::of(chunks);
    let (mut pairs, mut lost) = (0, 0);
    for (position, chunk) in chunks.iter().enumerate() {
        for reference in &chunk.references {
            let targets = index.find(reference, position);
            if targets.is_empty() {
                lost += 1;
                let candidates = if lost > MAX_SUGGESTIONS { &[] } else { chunks };
                problems.push(missing(reference, chunk, candidates));
            }
            pairs += targets.len();
            if pairs > MAX_PAIRS {
                let message = format!("the requisites make more than {MAX_PAIRS} pairs of states");
                let problem = Problem::new(explain::SLS_TOO_LARGE, message).key(chunk.id.clone());
                problems.push(chunk.place(problem, &reference.node));
                return listening;
            }
            for target in targets {
                let (state, on) = if reference.inverse { (target, position) } else { (position, target) };
                match (reference.relation, &ids[state], &ids[on]) {
                    (Relation::Edge(kind), Some(state), Some(on)) => graph.depend(state, kind, on),
                    (Relation::Listen, _, _) => listening.push((state, on)),
                    (Relation::Edge(_), _, _) => {}
                }
            }
        }
    }
    listening
}

/// Chunks by what a reference may call them.
#[derive(Default)]
struct Index<'a> {
    by_name: HashMap<(Option<&'a str>, &'a str), Vec<usize>>,
    by_sls: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Index<'a> {
    fn of(chunks: &'a [Chunk]) -> Self {
        let mut index = Self::default();
        for (position, chunk) in chunks.iter().enumerate() {
            for module in [Some(chunk.module), None] {
                index.by_name.entry((module, &chunk.id)).or_default().push(position);
                if chunk.name != chunk.id {
                    index.by_name.entry((module, &chunk.name)).or_default().push(position);
                }
            }
            index.by_sls.entry(&chunk.sls).or_default().push(position);
        }
        index
    }

    fn find(&self, reference: &Reference, own: usize) -> Vec<usize> {
        let found = match reference.module.as_deref() {
            Some("sls") => self.by_sls.get(reference.target.as_str()),
            Some("id") => self.by_name.get(&(None, reference.target.as_str())),
            module => self.by_name.get(&(module, reference.target.as_str())),
        };
        let mut found = found.cloned().unwrap_or_default();
        // A state that names its own file or shares its id with others does not mean itself.
        if found.len() > 1 {
            found.retain(|position| *position != own);
        }
        found
    }
}

fn missing(reference: &Reference, chunk: &Chunk, chunks: &[Chunk]) -> Problem {
    let (module, target) = (reference.module.as_deref(), reference.target.as_str());
    let shown = module.map_or_else(|| target.to_owned(), |module| format!("{module}: {target}"));
    let mut problem = Problem::new(explain::SLS_MISSING_REQUISITE, format!("no state is called `{shown}`"))
        .key(chunk.id.clone());
    let elsewhere: Vec<&str> = chunks
        .iter()
        .filter(|other| other.id == target || other.name == target)
        .map(|other| other.module)
        .collect();
    if !elsewhere.is_empty() {
        let words: Vec<String> = elsewhere.iter().map(|module| format!("`{module}: {target}`")).collect();
        problem = problem.accepted(words.join(", "));
    } else if !chunks.is_empty() {
        let known = chunks.iter().filter(|other| module.is_none_or(|module| other.module == module));
        let near = crate::nearest::nearest(target, known.clone().map(|other| other.id.as_str()));
        if !near.is_empty() {
            problem = problem.accepted(accepted(target, known.map(|other| other.id.as_str())));
        }
    }
    chunk.place(problem, &reference.node)
}
