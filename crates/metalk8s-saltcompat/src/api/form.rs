//! Forms, as `curl -d` sends them.

use serde_json::{Map, Value};

/// One chunk of a lowstate: a name that comes several times is a list.
pub fn from_form(pairs: impl IntoIterator<Item = (String, String)>) -> Value {
    let mut chunk = Map::new();
    for (name, value) in pairs {
        let value = Value::String(value);
        match chunk.get_mut(&name) {
            None => drop(chunk.insert(name, value)),
            Some(Value::Array(values)) => values.push(value),
            Some(one) => *one = Value::Array(vec![one.take(), value]),
        }
    }
    Value::Object(chunk)
}
