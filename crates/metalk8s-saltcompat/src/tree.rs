//! Looking things up in grains and pillar: `metalk8s:control_plane_ip`.

use serde_json::Value;

/// What stands at a path with colons: keys of maps and positions in lists.
pub fn lookup<'v>(tree: &'v Value, path: &str) -> Option<&'v Value> {
    path.split(':').try_fold(tree, |at, part| match at {
        Value::Object(map) => map.get(part),
        Value::Array(items) => match part.parse::<usize>() {
            Ok(position) => items.get(position),
            // As Salt does: the first map of the list that has the key.
            Err(_) => items.iter().find_map(|item| item.as_object()?.get(part)),
        },
        _ => None,
    })
}

/// The same as `grains.get` and `pillar.get` return it: the default, or an empty text, where nothing stands.
pub fn get(tree: &Value, path: &str, default: Option<Value>) -> Value {
    let found = if path.is_empty() { Some(tree) } else { lookup(tree, path) };
    found.cloned().unwrap_or_else(|| default.unwrap_or_else(|| Value::String(String::new())))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{get, lookup};

    #[test]
    fn paths_lead_through_maps_and_lists() {
        let tree = json!({"a": {"b": 1, "list": [{"x": 2}, {"y": 3}]}});
        assert_eq!(lookup(&tree, "a:b"), Some(&json!(1)));
        assert_eq!(lookup(&tree, "a:list:0:x"), Some(&json!(2)));
        assert_eq!(lookup(&tree, "a:list:y"), Some(&json!(3)));
        assert_eq!(lookup(&tree, "a:b:c"), None);
    }

    #[test]
    fn what_is_missing_is_an_empty_text_or_the_default() {
        assert_eq!(get(&json!({}), "a:b", None), json!(""));
        assert_eq!(get(&json!({}), "a:b", Some(json!(5))), json!(5));
        assert_eq!(get(&json!({"a": 1}), "", None), json!({"a": 1}));
    }
}
