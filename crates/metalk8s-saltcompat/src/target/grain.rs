//! Facts that targets ask for: `os:Debian`, `metalk8s:roles:etcd`, `ipv4:10.*`. Capitals do not matter.

use serde_json::{Map, Value};

use crate::{glob::Glob, lookup, output::python};

/// Whether the facts are as the expression says: a path with colons, then a pattern of what stands there.
///
/// A value can hold colons too: whatever reading of the expression fits is enough.
pub(super) fn is_in_tree(tree: &Value, expression: &str) -> bool {
    colons(expression).any(|(path, pattern)| match path {
        "*" => is_in(tree, expression),
        path => lookup(tree, path).is_some_and(|value| is_in(value, pattern)),
    })
}

/// The path and the pattern at each colon, the longest path first.
fn colons(expression: &str) -> impl Iterator<Item = (&str, &str)> {
    expression.rmatch_indices(':').map(|(at, colon)| (&expression[..at], &expression[at + colon.len()..]))
}

fn is_in(value: &Value, pattern: &str) -> bool {
    match value {
        Value::Object(map) => is_in_map(map, pattern),
        Value::Array(items) => items.iter().any(|item| is_in(item, pattern)),
        other => is_like(&python::plain(other), pattern),
    }
}

/// A name in the map is enough. With `*:` in front, it may stand below any name.
fn is_in_map(map: &Map<String, Value>, pattern: &str) -> bool {
    let (below_any, pattern) = match pattern.strip_prefix("*:") {
        Some(pattern) => (true, pattern),
        None => (false, pattern),
    };
    let at_path = |(path, pattern): (&str, &str)| {
        let mut parts = path.splitn(2, ':');
        let found = parts.next().and_then(|name| map.get(name));
        match (found, parts.next()) {
            (Some(found), None) => is_in(found, pattern),
            (Some(found), Some(path)) => lookup(found, path).is_some_and(|found| is_in(found, pattern)),
            (None, _) => false,
        }
    };
    map.keys().any(|name| is_like(name, pattern))
        || colons(pattern).any(at_path)
        || (below_any && map.values().any(|value| is_in(value, pattern)))
}

fn is_like(text: &str, pattern: &str) -> bool {
    Glob::new(&pattern.to_lowercase()).matches(&text.to_lowercase())
}
