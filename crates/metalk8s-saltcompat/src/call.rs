//! The functions of `salt-call`: from the words of a command line to what Salt returns.

mod error;
mod jobs;
mod machine;
mod network;
mod returned;
mod sys;
mod table;
mod trials;

use std::{collections::BTreeMap, error::Error};

use async_trait::async_trait;
use jiff::tz::TimeZone;
use metalk8s_diagnostics::{Problem, Problems, explain};
use metalk8s_engine::{ApplyOptions, Graph, Hands, apply, test};
use metalk8s_types::VERSION;
use serde_json::{Map, Value};

use crate::{
    Compiled, FileRoots, Formula, Words, compile, formulas, get, nearest::functions_like, parse_words,
    pillar::merge, single, state_return,
};

pub use error::CallError;
pub use jobs::RunningJob;
pub use returned::Returned;
pub use table::{CERTIFICATES, FUNCTIONS, Function, HEALTH};
use table::{Does, REFUSED, Show, Verb};

/// Named words that state functions understand; but for `test`, none of them changes what plain files mean.
const OF_STATES: [&str; 5] = ["test", "saltenv", "pillarenv", "pillar", "queue"];
/// The only environment whose file roots can be named.
const BASE: &str = "base";

/// The machine that functions are about.
#[async_trait]
pub trait Minion: Sync {
    /// Who makes states true on it.
    fn hands(&self) -> &dyn Hands;

    /// Where its SLS files come from.
    fn roots(&self) -> &dyn FileRoots;

    /// Its facts, as [`crate::grains_tree`] arranges them.
    ///
    /// # Errors
    /// When they cannot be collected.
    fn grains(&self) -> Result<Value, Box<dyn Error + Send + Sync>>;

    /// Its settings, as [`crate::pillar_tree`] arranges them.
    ///
    /// # Errors
    /// When they cannot be read.
    fn pillar(&self) -> Result<Value, Box<dyn Error + Send + Sync>>;

    /// The states of a formula with its settings, over which what was `given` is laid for this call alone; `test`
    /// says that they will only be looked at.
    ///
    /// # Errors
    /// When its settings cannot be read or do not fit the machine.
    fn formula(
        &self,
        formula: Formula,
        test: bool,
        given: &Map<String, Value>,
    ) -> Result<Graph, Box<dyn Error + Send + Sync>>;

    /// Lets no other run change the machine until this call is over. While there is one, it `waits`, or fails.
    ///
    /// # Errors
    /// When another run is going on, or does not end within the time that is reasonable.
    async fn claim(&self, waits: bool) -> Result<(), Box<dyn Error + Send + Sync>>;

    /// The environments of the versions that are installed on it, such as `metalk8s-0.1.0`.
    fn environments(&self) -> Vec<String>;

    /// The jobs that its agent is carrying out, but for the one that asks.
    ///
    /// # Errors
    /// When they cannot be listed.
    fn running(&self) -> Result<Vec<RunningJob>, Box<dyn Error + Send + Sync>>;

    /// Ends a job: asks it to (`SIGTERM`), or ends it at once where `hard` (`SIGKILL`). Returns its process, if
    /// it is carried out.
    ///
    /// # Errors
    /// When it cannot be ended.
    fn end_job(&self, jid: &str, hard: bool) -> Result<Option<u32>, Box<dyn Error + Send + Sync>>;

    /// What it tells of itself beside its facts, as JSON.
    ///
    /// # Errors
    /// When it cannot be found out.
    async fn tell(&self, what: About) -> Result<Value, Box<dyn Error + Send + Sync>>;

    /// Its packages with their versions.
    ///
    /// # Errors
    /// When they cannot be listed.
    async fn packages(&self) -> Result<BTreeMap<String, String>, Box<dyn Error + Send + Sync>>;
}

/// What a machine can be asked for by functions of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// Its certificates: [`crate::CERTIFICATES`].
    Certificates,
    /// How it stands: [`crate::HEALTH`].
    Health,
}

/// Calls a function by Salt's name with the words that stand after it.
///
/// Times of day in the return are in `zone`. With `test=True` states are only looked at.
///
/// # Errors
/// When nothing was done because the call is wrong, states have mistakes, or the machine cannot be read. That
/// states failed is no error: it stands in what is returned.
pub async fn call(
    function: &str,
    words: &[String],
    minion: &dyn Minion,
    options: &ApplyOptions,
    zone: &TimeZone,
) -> Result<Returned, CallError> {
    if let Some((function, why)) = REFUSED.iter().find(|(refused, _)| *refused == function) {
        return Err(CallError::Refused { function, why });
    }
    let Some(known) = FUNCTIONS.iter().find(|known| known.name == function) else {
        let near = functions_like(function, FUNCTIONS.iter().map(|known| known.name));
        return Err(CallError::UnknownFunction { function: function.to_owned(), near });
    };
    let call = Call { function: known.name, typed: words, words: parse_words(words) };
    Ok(Returned::Value(match known.does {
        Does::Apply | Does::Test => {
            let is_test = matches!(known.does, Does::Test) || call.is_test()?;
            let compiled = call.compile(minion, is_test).await?;
            return call.apply(&compiled, is_test, minion.hands(), options, zone).await;
        }
        Does::Single => {
            let compiled = call.single(minion.roots())?;
            return call.apply(&compiled, call.is_test()?, minion.hands(), options, zone).await;
        }
        Does::Command(told) => return call.command(told, minion.hands()).await,
        Does::ShowSls => call.compile(minion, true).await?.high,
        Does::Grains(show) => call.show(show, "grains", || minion.grains())?,
        Does::Pillar(Show::All) => call.pillar(minion)?,
        Does::Pillar(show) => call.show(show, "pillar", || minion.pillar())?,
        Does::Config => call.show(Show::Path, "grains", || both(minion))?,
        Does::Service(verb) => call.service(verb, minion.hands()).await?,
        Does::Packages(show) => call.packages(show, minion).await?,
        Does::Addresses { ipv6 } => call.addresses(ipv6, minion)?,
        Does::Interfaces(link) => call.interfaces(link, minion.hands()).await?,
        Does::Services(state) => call.services(state, minion.hands()).await?,
        Does::HasService(is_there) => call.has_service(is_there, minion.hands()).await?,
        Does::RunningServices => call.running_services(minion.hands()).await?,
        Does::Systemctl(verb) => call.systemctl(verb, minion.hands()).await?,
        Does::IsMasked => call.is_masked(minion.hands()).await?,
        Does::ShowUnit => call.show_unit(minion.hands()).await?,
        Does::DiskUsage => call.disk_usage(minion.hands()).await?,
        Does::DiskDump => call.disk_dump(minion.hands()).await?,
        Does::Sys { states, ask } => {
            call.takes(usize::MAX, &[])?;
            let names: Vec<String> = call.words.positional.iter().map(text).collect();
            sys::tell(states, ask, &names)
        }
        Does::Arguments { only_named } => call.arguments(only_named)?,
        Does::Truth(truth) => call.no_words().map(|()| truth.into())?,
        Does::Fibonacci => call.fibonacci(options)?,
        Does::Sleep => call.sleep(options).await?,
        Does::Status => return call.status(),
        Does::Sync(kind) => call.sync(kind)?,
        Does::Running => call.running(minion)?,
        Does::FindJob => call.find_job(minion)?,
        Does::EndJob { hard } => call.end_job(minion, hard)?,
        Does::Tell(what) => {
            call.no_words()?;
            let told = minion.tell(what).await;
            told.map_err(|source| CallError::Machine { what: what.name(), source })?
        }
        Does::Refresh => {
            call.takes(0, &["wait", "timeout", "clean_cache", "refresh_pillar"]).map(|()| true.into())?
        }
        Does::Echo => call.names().map(|words| words.join(" ").into())?,
        Does::Ping => call.no_words().map(|()| true.into())?,
        Does::Version => call.no_words().map(|()| VERSION.into())?,
    }))
}

impl About {
    fn name(self) -> &'static str {
        match self {
            Self::Certificates => "certificates",
            Self::Health => "state of health",
        }
    }
}

/// Whether this function makes states true, unless it is told to only look.
pub fn applies_states(function: &str) -> bool {
    let known = FUNCTIONS.iter().find(|known| known.name == function);
    known.is_some_and(|known| matches!(known.does, Does::Apply | Does::Single))
}

/// Whether this call reads the settings of the machine, which others may have to be asked for.
pub fn reads_settings(function: &str, words: &[String]) -> bool {
    let Some(known) = FUNCTIONS.iter().find(|known| known.name == function) else { return false };
    match known.does {
        Does::Grains(_) | Does::Pillar(_) | Does::Config => true,
        Does::Apply | Does::Test | Does::ShowSls => {
            let call = Call { function: known.name, typed: words, words: parse_words(words) };
            call.sls_names().iter().any(|name| formulas::is_built_in(name))
        }
        _ => false,
    }
}

/// Whether it matters that this function is carried out a second time where nobody knows how far the first came: a
/// command may do anything. States are looked at before they are made true, and questions change nothing.
pub fn must_not_be_repeated(function: &str) -> bool {
    let known = FUNCTIONS.iter().find(|known| known.name == function);
    known.is_some_and(|known| matches!(known.does, Does::Command(_) | Does::Service(Verb::Restart)))
}

/// The pillar, with the grains over it.
fn both(minion: &dyn Minion) -> Result<Value, Box<dyn Error + Send + Sync>> {
    let mut tree = minion.pillar()?;
    if let (Value::Object(tree), Value::Object(grains)) = (&mut tree, minion.grains()?) {
        tree.extend(grains);
    }
    Ok(tree)
}

/// A function that is known, with its words.
struct Call<'w> {
    function: &'static str,
    /// As they were typed.
    typed: &'w [String],
    words: Words,
}

impl Call<'_> {
    fn usage(&self, message: impl Into<String>) -> CallError {
        CallError::Usage { function: self.function, message: message.into() }
    }

    fn mistakes(&self, source: Problems) -> CallError {
        CallError::Mistakes { function: self.function, source }
    }

    /// Refuses words that would otherwise be ignored in silence.
    fn takes(&self, positional: usize, named: &[&str]) -> Result<(), CallError> {
        match self.words.superfluous(positional, named).first() {
            Some(word) => Err(self.usage(format!("`{}` does not take {word}", self.function))),
            None => Ok(()),
        }
    }

    fn no_words(&self) -> Result<(), CallError> {
        self.takes(0, &[])
    }

    /// Whether states are only looked at. Anything but a truth value is refused, because taking a typing
    /// mistake for "no" would change the machine.
    fn is_test(&self) -> Result<bool, CallError> {
        self.is_true("test")
    }

    fn is_true(&self, name: &str) -> Result<bool, CallError> {
        match self.words.named.get(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(is_true)) => Ok(*is_true),
            Some(other) => Err(self.usage(format!("`{name}={}` is neither True nor False", text(other)))),
        }
    }

    /// The settings of `pillar=`. What is none is not repeated in the message: it may hold a password.
    fn given(&self) -> Result<Map<String, Value>, CallError> {
        match self.words.named.get("pillar") {
            None | Some(Value::Null) => Ok(Map::new()),
            Some(Value::Object(given)) => Ok(given.clone()),
            Some(_) => Err(self.usage(
                "`pillar=` must be a mapping in braces, such as `pillar='{\"networks\": {\"pod\": \
                 \"10.234.0.0/16\"}}'`",
            )),
        }
    }

    /// All settings, with those of `pillar=` over them.
    fn pillar(&self, minion: &dyn Minion) -> Result<Value, CallError> {
        self.takes(0, &["pillar"])?;
        let given = self.given()?;
        let mut tree = minion.pillar().map_err(|source| CallError::Machine { what: "pillar", source })?;
        merge(&mut tree, &given);
        Ok(tree)
    }

    /// Files of other environments than `base` cannot be named, and those of `base` are not theirs.
    fn refuse_environments(&self) -> Result<(), CallError> {
        match self.words.text("saltenv") {
            None | Some(BASE) => Ok(()),
            Some(other) => {
                let message = format!("the environment `{other}` has no file roots");
                let problem = Problem::new(explain::SLS_NOT_FOUND, message)
                    .accepted("`base`, which needs not be named");
                Err(self.mistakes(Problems::new("could not find the states", vec![problem])))
            }
        }
    }

    async fn compile(&self, minion: &dyn Minion, test: bool) -> Result<Compiled, CallError> {
        self.takes(1, &[&OF_STATES[..], &["mods"]].concat())?;
        let waits = self.is_true("queue")?;
        let given = self.given()?;
        let names = self.sls_names();
        if names.iter().any(|name| formulas::is_built_in(name)) {
            return self.built_in(&names, minion, test, waits, &given).await;
        }
        self.refuse_environments()?;
        compile(&names, minion.roots()).map_err(|problems| self.mistakes(problems))
    }

    /// The SLS files and formulas that are named, or what stands for none.
    fn sls_names(&self) -> Vec<String> {
        let names: Vec<String> = match self.words.positional.first().or(self.words.named.get("mods")) {
            Some(Value::Array(names)) => names.iter().map(text).collect(),
            Some(names) => text(names).split(',').map(|name| name.trim().to_owned()).collect(),
            None => Vec::new(),
        };
        if names.iter().all(String::is_empty) { vec![formulas::HIGHSTATE.to_owned()] } else { names }
    }

    async fn built_in(
        &self,
        names: &[String],
        minion: &dyn Minion,
        test: bool,
        waits: bool,
        given: &Map<String, Value>,
    ) -> Result<Compiled, CallError> {
        let named = formulas::named(names).map_err(|problems| self.mistakes(problems))?;
        formulas::check_environment(self.words.text("saltenv"), &minion.environments())
            .map_err(|problems| self.mistakes(problems))?;
        if !test {
            let name = named[0].0;
            minion.claim(waits).await.map_err(|source| CallError::Formula { name, source })?;
        }
        let graphs = named.into_iter().map(|(name, formula)| match minion.formula(formula, test, given) {
            Ok(graph) => Ok((name, graph)),
            Err(source) => Err(CallError::Formula { name, source }),
        });
        Ok(formulas::compiled(graphs.collect::<Result<_, _>>()?))
    }

    fn single(&self, roots: &dyn FileRoots) -> Result<Compiled, CallError> {
        self.refuse_environments()?;
        self.given()?;
        if self.words.positional.is_empty() {
            return Err(self.usage("`state.single` needs a state function"));
        }
        single(&self.words, roots).map_err(|problems| self.mistakes(problems))
    }

    async fn apply(
        &self,
        compiled: &Compiled,
        is_test: bool,
        hands: &dyn Hands,
        options: &ApplyOptions,
        zone: &TimeZone,
    ) -> Result<Returned, CallError> {
        let report = if is_test {
            test(&compiled.graph, hands, options).await
        } else {
            apply(&compiled.graph, hands, &(), options).await
        };
        Ok(Returned::States(state_return(&report.map_err(CallError::Order)?, compiled, zone)))
    }

    /// Words are looked at before the machine is.
    fn show(
        &self,
        show: Show,
        what: &'static str,
        tree: impl FnOnce() -> Result<Value, Box<dyn Error + Send + Sync>>,
    ) -> Result<Value, CallError> {
        let tree = || tree().map_err(|source| CallError::Machine { what, source });
        let names = |tree: Value| tree.as_object().into_iter().flat_map(Map::keys).cloned().collect();
        match show {
            Show::All => self.no_words().and_then(|()| tree()),
            Show::Names => self.no_words().and_then(|()| tree()).map(names),
            Show::Some => {
                let names = self.names()?;
                let tree = tree()?;
                Ok(names
                    .iter()
                    .map(|name| (name.clone(), get(&tree, name, None)))
                    .collect::<Map<_, _>>()
                    .into())
            }
            Show::Path => {
                self.takes(2, &["default"])?;
                let Some(path) = self.words.positional.first() else {
                    return Err(self.usage(format!("`{}` needs a path such as `a:b`", self.function)));
                };
                let default = self.words.positional.get(1).or(self.words.named.get("default"));
                Ok(get(&tree()?, &text(path), default.cloned()))
            }
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
