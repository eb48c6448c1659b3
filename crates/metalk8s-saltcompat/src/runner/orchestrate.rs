//! The words of `state.orchestrate`, and the settings of orchestrations.

use metalk8s_diagnostics::{Problem, Problems, explain};
use metalk8s_types::is_host_name;
use serde_json::{Map, Value};

use super::{RunnerCall, shown};
use crate::{Words, formulas, functions, nearest::accepted, words::split_name};

/// A procedure over many nodes that is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Orchestrate {
    /// Its name, such as `metalk8s.orchestrate.deploy_node`.
    pub name: String,
    /// The environment it is of, where one is named.
    pub saltenv: Option<String>,
    /// Its settings, a map.
    pub pillar: Value,
    /// Whether it is only shown what would be done.
    pub test: bool,
}

/// A call of a function that makes states of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatesCall {
    /// Such as `state.sls`.
    pub function: &'static str,
    /// The words after it.
    pub words: Vec<String>,
}

/// The procedure that makes a machine what its Node object says.
pub const DEPLOY_NODE: &str = "metalk8s.orchestrate.deploy_node";

/// What the names of procedures begin with.
const PROCEDURES: &str = "metalk8s.orchestrate.";

/// What a step of a procedure is called among functions.
pub const STEP: &str = "metalk8s.step";

/// The procedure by which a node leaves the cluster.
pub const REMOVE_NODE: &str = "metalk8s.orchestrate.remove_node";

/// The settings of a procedure over one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSettings {
    /// The Node that it is about.
    pub node_name: String,
    /// Whether its pods stay where they are.
    pub skip_draining: bool,
    /// How many seconds its pods may take to leave it.
    pub drain_timeout: Option<u32>,
    /// Whether its machine is given up.
    pub force: bool,
}

const NAMED: [&str; 4] = ["mods", "saltenv", "pillar", "test"];
const PILLAR: &str = "a map such as `{\"orchestrate\": {\"node_name\": \"node-1\"}}`";
/// Which settings a procedure knows.
const DEPLOY_KEYS: [&str; 3] = ["node_name", "skip_draining", "drain_timeout"];
const REMOVE_KEYS: [&str; 3] = ["node_name", "force", "drain_timeout"];
const NODE_NAME: &str = "the name of a Node: lower-case letters, digits and `-`, in labels of at most 63 \
                         characters joined by `.`";

impl Orchestrate {
    /// Reads the words of `state.orchestrate`, as they were `typed` and what they mean: formulas are made by the
    /// master's machine.
    pub(super) fn from_words(words: &Words, typed: &[String]) -> Result<RunnerCall, Vec<Problem>> {
        let unknown = words.superfluous(1, &NAMED).into_iter().map(|word| {
            let message = format!("an orchestration does not take {word}");
            Problem::new(explain::WRONG_USAGE, message).accepted("`saltenv=`, `pillar=`, `test=`")
        });
        let mut problems: Vec<Problem> = unknown.collect();
        let name = words.positional.first().or(named(words, "mods"));
        let name_text = name.and_then(Value::as_str).filter(|name| !name.is_empty());
        if name_text.is_none() {
            let accepted = "the name of an orchestration such as `metalk8s.orchestrate.deploy_node`";
            problems.push(not_accepted("NAME", name, accepted));
        }
        let are_states = name_text.is_some_and(are_formulas);
        let wanted = Self::checked(name_text, words, problems)?;
        Ok(match are_states {
            true => RunnerCall::States(StatesCall { function: "state.sls", words: typed.to_vec() }),
            false => RunnerCall::Orchestrate(wanted),
        })
    }

    /// Reads the words of `state.orchestrate_single`.
    pub(super) fn single(words: &Words, typed: &[String]) -> Result<RunnerCall, Vec<Problem>> {
        let mut problems = Vec::new();
        let fun = named(words, "fun");
        let mut positional = words.positional.iter();
        let function = fun.or_else(|| positional.next());
        let function_text = function.and_then(Value::as_str).filter(|function| !function.is_empty());
        match function_text.map(functions::find) {
            None => {
                let accepted = "a state function such as `file.managed`";
                problems.push(not_accepted("FUNCTION", function, accepted));
            }
            Some(Err(problem)) => problems.push(*problem),
            Some(Ok(_)) => {}
        }
        let name = positional.next().or(named(words, "name"));
        if name.is_none() {
            problems.push(not_accepted("NAME", None, "what the state is about, such as `/etc/motd`"));
        }
        // `state.single` takes the function as its first word, and by no name.
        let is_fun = |word: &str| split_name(word).is_some_and(|(name, _)| name == "fun");
        let first = fun.and(function_text).map(str::to_owned);
        let rest = typed.iter().filter(|word| !is_fun(word)).cloned();
        Self::checked(function_text, words, problems)?;
        let words = first.into_iter().chain(rest).collect();
        Ok(RunnerCall::States(StatesCall { function: "state.single", words }))
    }

    /// What all orchestrations have in common.
    fn checked(name: Option<&str>, words: &Words, mut problems: Vec<Problem>) -> Result<Self, Vec<Problem>> {
        let mut wrong = |key: &str, found: &Value, accepted: &str| {
            problems.push(not_accepted(key, Some(found), accepted));
        };
        let saltenv = named(words, "saltenv");
        if let Some(saltenv) = saltenv.filter(|saltenv| !saltenv.is_string()) {
            wrong("saltenv", saltenv, "an environment such as `metalk8s-2.5.1`");
        }
        let pillar = named(words, "pillar");
        if let Some(pillar) = pillar.filter(|pillar| !pillar.is_object()) {
            wrong("pillar", pillar, PILLAR);
        }
        if let Some(test) = named(words, "test").filter(|test| !test.is_boolean()) {
            wrong("test", test, "`True` or `False`");
        }
        match name {
            Some(name) if problems.is_empty() => Ok(Self {
                name: name.to_owned(),
                saltenv: saltenv.and_then(Value::as_str).map(str::to_owned),
                pillar: pillar.cloned().unwrap_or_else(|| Map::new().into()),
                test: words.is_true("test"),
            }),
            _ => Err(problems),
        }
    }
}

/// Whether all these names, with commas between them, are of formulas: they are of machines, not of the fleet. Those
/// of another version are not known here.
fn are_formulas(names: &str) -> bool {
    names.split(',').map(str::trim).all(|name| formulas::is_built_in(name) && !name.starts_with(PROCEDURES))
}

fn named<'w>(words: &'w Words, name: &str) -> Option<&'w Value> {
    words.named.get(name).filter(|value| !value.is_null())
}

fn not_accepted(key: &str, found: Option<&Value>, accepted: &str) -> Problem {
    let found = found.map_or_else(|| "nothing".to_owned(), |found| format!("`{}`", shown(found)));
    let problem = Problem::new(explain::WRONG_USAGE, "this value is not accepted");
    problem.found(found).accepted(accepted).key(key)
}

impl NodeSettings {
    /// Reads the settings of the procedure of this name.
    ///
    /// # Errors
    /// All mistakes, each with its key and what is accepted.
    pub fn from_pillar(procedure: &str, pillar: &Value) -> Result<Self, Problems> {
        let keys = if procedure == REMOVE_NODE { REMOVE_KEYS } else { DEPLOY_KEYS };
        let mut problems = Vec::new();
        let mut wrong = |key: &str, found: Option<&Value>, accepted: &str| {
            let problem = match found {
                Some(found) => Problem::new(explain::WRONG_USAGE, "this value is not accepted")
                    .found(format!("`{}`", shown(found))),
                None => Problem::new(explain::WRONG_USAGE, "this setting is missing"),
            };
            problems.push(problem.accepted(accepted).key(key));
        };
        let refused = |problems| {
            let name = procedure.rsplit('.').next().unwrap_or(procedure);
            Problems::new(format!("the pillar of `{name}` is not accepted"), problems)
        };
        let mut of_pillar = pillar.as_object().into_iter().flatten();
        if let Some((key, value)) = of_pillar.find(|(key, _)| *key != "orchestrate") {
            wrong(key, Some(value), "`orchestrate` alone");
        }
        let settings = pillar.get("orchestrate");
        let Some(map) = settings.and_then(Value::as_object) else {
            wrong("orchestrate", settings, "a map with `node_name`");
            return Err(refused(problems));
        };
        for (key, value) in map.iter().filter(|(key, _)| !keys.contains(&key.as_str())) {
            wrong(&format!("orchestrate.{key}"), Some(value), &accepted(key, keys));
        }
        let node_name = map.get("node_name");
        let name = node_name.and_then(Value::as_str).filter(|name| is_host_name(name));
        if name.is_none() {
            wrong("orchestrate.node_name", node_name, NODE_NAME);
        }
        let given = |key: &str| map.get(key).filter(|value| !value.is_null() && keys.contains(&key));
        for key in ["skip_draining", "force"] {
            if let Some(value) = given(key).filter(|value| !value.is_boolean()) {
                wrong(&format!("orchestrate.{key}"), Some(value), "`True` or `False`");
            }
        }
        let seconds = |value: &Value| value.as_u64().and_then(|seconds| u32::try_from(seconds).ok());
        if let Some(value) = given("drain_timeout").filter(|value| seconds(value).is_none()) {
            wrong("orchestrate.drain_timeout", Some(value), "a number of seconds");
        }
        let is_true = |key: &str| given(key).and_then(Value::as_bool).unwrap_or_default();
        match name {
            Some(name) if problems.is_empty() => Ok(Self {
                node_name: name.to_owned(),
                skip_draining: is_true("skip_draining"),
                drain_timeout: given("drain_timeout").and_then(seconds),
                force: is_true("force"),
            }),
            _ => Err(refused(problems)),
        }
    }
}
