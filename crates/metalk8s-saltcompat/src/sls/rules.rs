//! What every state may say besides its function: conditions, tries, its place.

use metalk8s_diagnostics::explain;
use metalk8s_engine::{Graph, Guard, Retry, StateId};

use super::Chunk;
use crate::{
    args::Args,
    functions::Surroundings,
    yaml::{Node, Scalar, Value},
};

/// The words of these rules; `order` is read with the declaration.
pub(super) const WORDS: [&str; 6] = ["unless", "onlyif", "creates", "retry", "failhard", ORDER];
pub(super) const ORDER: &str = "order";

/// Salt's numbers of states that do not say theirs.
const FIRST_ORDER: i64 = 10_000;
/// Beyond all of those.
const LAST_ORDER: i64 = 1_000_000_000;
/// What `retry: True` means.
const RETRY: Retry = Retry { attempts: 2, interval_seconds: 30 };

/// Rules of one state.
#[derive(Default)]
pub(super) struct Rules {
    guards: Vec<Guard>,
    retry: Option<Retry>,
    stops_run: bool,
}

impl Rules {
    pub(super) fn read(args: &mut Args<'_>) -> Self {
        Self {
            guards: guards(args),
            retry: retry(args),
            stops_run: args.boolean("failhard").unwrap_or(false),
        }
    }

    /// Gives them to a state of the graph.
    pub(super) fn put(self, graph: &mut Graph, id: &StateId) {
        for guard in self.guards {
            graph.guard(id, guard);
        }
        if let Some(retry) = self.retry {
            graph.retry(id, retry);
        }
        if self.stops_run {
            graph.stop_at_failure_of(id);
        }
    }
}

/// In the order in which Salt asks them, each with its comment.
fn guards(args: &mut Args<'_>) -> Vec<Guard> {
    let (only_if, unless, creates) = (args.texts("onlyif"), args.texts("unless"), args.texts("creates"));
    if !args.problems.is_empty() {
        return Vec::new();
    }
    let mut guards = Vec::new();
    let mut add =
        |because: &str, change: fn(&mut metalk8s_engine::state::Command, Vec<String>), text: String| {
            // The conditions of a command are asked where and how it is run itself.
            let surroundings =
                if args.chunk.module == "cmd" { Surroundings::of(args) } else { Surroundings::usual() };
            let asked = surroundings.through_shell(text);
            let mut command = surroundings.command(Vec::new());
            change(&mut command, asked);
            guards.push(Guard { because: because.to_owned(), command });
        };
    if let Some(text) = only_if.and_then(all_of) {
        add("onlyif condition is false", |command, asked| command.only_if = Some(asked), text);
    }
    if let Some(text) = unless.and_then(all_of) {
        add("unless condition is true", |command, asked| command.unless = Some(asked), text);
    }
    if let Some(paths) = creates {
        let because = match &paths[..] {
            [path] => format!("{path} exists"),
            _ => "All files in creates exist".to_owned(),
        };
        let there = paths.iter().map(|path| format!("test -e {}", quoted(path))).collect::<Vec<_>>();
        add(&because, |command, asked| command.unless = Some(asked), there.join(" && "));
    }
    guards
}

/// A command that succeeds when all of these do.
fn all_of(commands: Vec<String>) -> Option<String> {
    let mut commands = commands.into_iter();
    let first = commands.next()?;
    Some(commands.fold(first, |all, command| format!("{{ {all}\n}} && {{ {command}\n}}")))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// `True`, or `{attempts: 3, interval: 10}` as a map or a list.
fn retry(args: &mut Args<'_>) -> Option<Retry> {
    let node = args.node("retry")?;
    let accepted = "`True`, or `attempts` and `interval` with whole numbers";
    match node.scalar() {
        Some(Scalar::Boolean(true)) => return Some(RETRY),
        Some(Scalar::Boolean(false)) => return None,
        Some(_) => {
            args.wrong(explain::SLS_BAD_VALUE, "retry", node, "this value is not accepted", accepted);
            return None;
        }
        None => {}
    }
    let mut retry = RETRY;
    for (name, value) in args.pairs("retry")? {
        let number = value.as_deref().and_then(|text| text.parse::<u32>().ok());
        match (&*name, number) {
            ("attempts", Some(attempts @ 1..)) => retry.attempts = attempts,
            ("interval", Some(seconds)) => retry.interval_seconds = seconds.into(),
            // What Salt does anyway.
            ("until", None) if value.as_deref().is_some_and(|text| text.eq_ignore_ascii_case("true")) => {}
            ("splay", Some(0)) => {}
            _ => {
                let message = format!("`{name}` is not supported with this value");
                args.wrong(explain::SLS_BAD_VALUE, "retry", node, &message, accepted);
            }
        }
    }
    Some(retry)
}

/// A place among all states; `None` where it is none.
pub(super) fn order(node: &Node) -> Option<i64> {
    match (node.scalar(), &node.value) {
        (Some(Scalar::Integer(number @ 0..FIRST_ORDER)), _) => Some(number),
        // -1 is the last of those that count from the end.
        (Some(Scalar::Integer(number @ -1_000_000..0)), _) => Some(LAST_ORDER + number),
        (_, Value::Scalar { text, .. }) if text == "first" => Some(0),
        (_, Value::Scalar { text, .. }) if text == "last" => Some(LAST_ORDER),
        _ => None,
    }
}

/// Puts states in their places; those that do not say theirs stay in the order of the files.
pub(super) fn sort(chunks: &mut [Chunk]) {
    for (position, chunk) in (FIRST_ORDER..).zip(chunks.iter_mut()) {
        chunk.order.get_or_insert(position);
    }
    chunks.sort_by_key(|chunk| chunk.order);
}
