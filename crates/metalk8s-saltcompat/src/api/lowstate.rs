//! A lowstate: what is asked for, in chunks.

use std::time::Duration;

use metalk8s_diagnostics::{Secret, sentence, shortened};
use serde_json::{Map, Value};

use super::{wheel::KeysCall, words::words};
use crate::{
    Target, TargetKind,
    batch::BatchSize,
    runner::{self, RunnerCall},
};

/// The clients that there are: who carries a chunk out, and whether it is waited for.
pub const CLIENTS: [&str; 7] =
    ["local", "local_async", "local_batch", "local_subset", "runner", "runner_async", "wheel"];

/// How many minions work at a time where a chunk does not say it (`LocalClient.cmd_batch`).
const BATCH: BatchSize = BatchSize::Percent(10.0);
/// More chunks than anybody writes by hand.
const MOST: usize = 64;
/// The longest that a mistake is told, in characters: whoever sent it has not logged in yet.
const LONGEST_MISTAKE: usize = 3000;
/// The longest that minions are waited for until they begin.
const LONGEST: u64 = 3600;
/// Names in a chunk that are no arguments of a function of the master.
const RESERVED: [&str; 14] = [
    "client",
    "fun",
    "arg",
    "kwarg",
    "token",
    "username",
    "password",
    "eauth",
    "timeout",
    "full_return",
    "ret",
    "batch",
    "print_event",
    "asynchronous",
];

/// One thing that is asked for.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// What.
    pub asked: Asked,
    /// Who says that he asks for it, where there is no session.
    pub credentials: Credentials,
    /// How long minions have to begin, where that is said.
    pub timeout: Option<Duration>,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub enum Asked {
    /// A function of minions.
    Minions(MinionsCall),
    /// A function of the master.
    Master(MasterCall),
    /// Something about keys.
    Keys(KeysCall),
}

/// A function that minions are to call.
#[derive(Debug, Clone)]
pub struct MinionsCall {
    /// Whether they are waited for, and how many are meant.
    pub way: Way,
    /// Which ones.
    pub target: Target,
    /// Such as `test.ping`.
    pub function: String,
    /// Its words.
    pub words: Vec<String>,
    /// Whether the status of each comes with what it returned.
    pub full_return: bool,
}

/// How minions are asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Way {
    /// They are waited for.
    Wait,
    /// They are not.
    Async,
    /// Some of them are waited for, any ones.
    Subset(usize),
    /// So many at a time are waited for.
    Batch {
        /// How many.
        size: BatchSize,
        /// Whether none begins after one failed.
        fail_hard: bool,
    },
}

/// A function of the master.
#[derive(Debug, Clone)]
pub struct MasterCall {
    /// Whether it is not waited for.
    pub is_async: bool,
    /// Such as `manage.up`.
    pub function: String,
    /// Its words.
    pub words: Vec<String>,
    /// What it means.
    pub call: RunnerCall,
}

/// What a login consists of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The way of logging in.
    pub eauth: Option<String>,
    /// Who.
    pub username: Option<String>,
    /// The secret: of a session, or of the cluster.
    pub token: Option<Secret<String>>,
}

/// Why a lowstate is not accepted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LowstateError {
    /// It is something else.
    #[error("a lowstate is a map, or a list of at most {MOST} maps and at least one")]
    Shape,
    /// One chunk of it.
    #[error("chunk {number}: {why}")]
    Chunk {
        /// Which one, from 1.
        number: usize,
        /// What is wrong.
        why: String,
    },
}

impl LowstateError {
    fn of_chunk(number: usize, why: &str) -> Self {
        Self::Chunk { number, why: shortened(why, LONGEST_MISTAKE) }
    }
}

impl Chunk {
    /// All chunks of a lowstate.
    ///
    /// # Errors
    /// With the first mistake.
    pub fn parse_all(lowstate: &Value) -> Result<Vec<Self>, LowstateError> {
        let parse =
            |(index, chunk)| Self::parse(chunk).map_err(|why| LowstateError::of_chunk(index + 1, &why));
        maps(lowstate)?.into_iter().enumerate().map(parse).collect()
    }

    fn parse(chunk: &Map<String, Value>) -> Result<Self, String> {
        let client = text(chunk, "client")?.ok_or("`client` is missing")?;
        let function = text(chunk, "fun")?.filter(|name| !name.is_empty()).ok_or("`fun` is missing")?;
        let asked = match client {
            "local" => Asked::Minions(minions(chunk, function, Way::Wait)?),
            "local_async" => Asked::Minions(minions(chunk, function, Way::Async)?),
            "local_subset" => {
                let count = chunk.get("subset").or(chunk.get("sub")).map_or(Some(3), number);
                let count = count.and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0);
                let count = count.ok_or("`subset` is a number of minions, at least 1")?;
                Asked::Minions(minions(chunk, function, Way::Subset(count))?)
            }
            "local_batch" => {
                let way = Way::Batch { size: batch_size(chunk)?, fail_hard: is_true(chunk.get("failhard")) };
                Asked::Minions(minions(chunk, function, way)?)
            }
            "runner" | "runner_async" => Asked::Master(master(chunk, function, client == "runner_async")?),
            "wheel" => Asked::Keys(KeysCall::new(function, &words(chunk.get("arg"), &named(chunk, true)?)?)?),
            other => return Err(format!("`client` is `{other}`, which is none of {}", CLIENTS.join(", "))),
        };
        Ok(Self { asked, credentials: Credentials::of(chunk)?, timeout: timeout(chunk)? })
    }
}

/// The maps that a lowstate or a login consists of.
fn maps(body: &Value) -> Result<Vec<&Map<String, Value>>, LowstateError> {
    let maps: Option<Vec<_>> = match body {
        Value::Object(one) => Some(vec![one]),
        Value::Array(several) => several.iter().map(Value::as_object).collect(),
        _ => None,
    };
    maps.filter(|maps| (1..=MOST).contains(&maps.len())).ok_or(LowstateError::Shape)
}

/// Reads a login: a map, or a list with one.
///
/// # Errors
/// When it is something else.
pub fn credentials(body: &Value) -> Result<Credentials, LowstateError> {
    let maps = maps(body)?;
    Credentials::of(maps[0]).map_err(|why| LowstateError::of_chunk(1, &why))
}

impl Credentials {
    /// The secret has two names, since there is no password beside it.
    fn of(chunk: &Map<String, Value>) -> Result<Self, String> {
        let owned = |name| Ok::<_, String>(text(chunk, name)?.map(str::to_owned));
        Ok(Self {
            eauth: owned("eauth")?,
            username: owned("username")?,
            token: owned("token")?.or(owned("password")?).map(Secret::new),
        })
    }
}

fn minions(chunk: &Map<String, Value>, function: &str, way: Way) -> Result<MinionsCall, String> {
    let target = match chunk.get("tgt") {
        Some(Value::String(target)) => target.clone(),
        Some(Value::Array(names)) => {
            let names: Option<Vec<&str>> = names.iter().map(Value::as_str).collect();
            names.ok_or("`tgt` is a text, or a list of names")?.join(",")
        }
        Some(_) => return Err("`tgt` is a text, or a list of names".to_owned()),
        None => return Err("`tgt` is missing".to_owned()),
    };
    let kind = match text(chunk, "tgt_type")?.or(text(chunk, "expr_form")?) {
        Some(kind) => kind.parse::<TargetKind>()?,
        None if chunk.get("tgt").is_some_and(Value::is_array) => TargetKind::List,
        None => TargetKind::Glob,
    };
    let problems = |problems: metalk8s_diagnostics::Problems| {
        problems.problems.first().map_or_else(|| problems.to_string(), |_| problems.brief())
    };
    Ok(MinionsCall {
        way,
        target: Target::parse(kind, &target).map_err(|error| format!("`tgt`: {}", problems(error)))?,
        function: function.to_owned(),
        words: words(chunk.get("arg"), &named(chunk, false)?)?,
        full_return: is_true(chunk.get("full_return")),
    })
}

fn master(chunk: &Map<String, Value>, function: &str, is_async: bool) -> Result<MasterCall, String> {
    let words = words(chunk.get("arg"), &named(chunk, true)?)?;
    let call = runner::parse(function, &words).map_err(|error| match &error {
        runner::RunnerError::Unknown { .. } => error.to_string(),
        runner::RunnerError::Words { source, .. } if source.problems.is_empty() => sentence(&error),
        runner::RunnerError::Words { function, source } => format!("`{function}`: {}", source.brief()),
    })?;
    Ok(MasterCall { is_async, function: function.to_owned(), words, call })
}

/// Arguments with names; functions of the master have them beside the others too.
fn named(chunk: &Map<String, Value>, beside: bool) -> Result<Map<String, Value>, String> {
    let mut named = match chunk.get("kwarg") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(named)) => named.clone(),
        Some(_) => return Err("`kwarg` is a map".to_owned()),
    };
    if beside {
        let others = chunk.iter().filter(|(name, _)| !RESERVED.contains(&name.as_str()));
        named.extend(others.map(|(name, value)| (name.clone(), value.clone())));
    }
    Ok(named)
}

fn text<'c>(chunk: &'c Map<String, Value>, name: &str) -> Result<Option<&'c str>, String> {
    match chunk.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("`{name}` is a text")),
    }
}

fn timeout(chunk: &Map<String, Value>) -> Result<Option<Duration>, String> {
    let timeout = match chunk.get("timeout") {
        None | Some(Value::Null) => return Ok(None),
        Some(timeout) => number(timeout),
    };
    let seconds = timeout.filter(|seconds| (1..=LONGEST).contains(seconds));
    let seconds = seconds.ok_or_else(|| format!("`timeout` is a number of seconds from 1 to {LONGEST}"))?;
    Ok(Some(Duration::from_secs(seconds)))
}

fn batch_size(chunk: &Map<String, Value>) -> Result<BatchSize, String> {
    let size = match chunk.get("batch") {
        None | Some(Value::Null) => return Ok(BATCH),
        Some(Value::String(size)) => size.parse(),
        Some(size) => size.to_string().parse(),
    };
    size.map_err(|why| format!("`batch`: {why}"))
}

/// Forms have texts only.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn is_true(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Bool(is_true)) => *is_true,
        Some(Value::String(text)) => matches!(text.as_str(), "true" | "True" | "1"),
        _ => false,
    }
}
