//! Arguments of any JSON type as the words of a command line, which is what jobs are made of.

use serde_json::{Map, Value};

/// Words that are read as these arguments: texts as they are, everything else as YAML in one line.
pub(super) fn words(arg: Option<&Value>, named: &Map<String, Value>) -> Result<Vec<String>, String> {
    let mut words: Vec<String> = match arg {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(values)) => values.iter().map(word).collect(),
        Some(one) => vec![word(one)],
    };
    for (name, value) in named {
        let mut characters = name.chars();
        let starts = characters.next().is_some_and(|first| first.is_alphabetic() || first == '_');
        if !starts || !characters.all(|one| one.is_alphanumeric() || matches!(one, '_' | '.' | '-')) {
            return Err(format!("`{name}` is not the name of an argument"));
        }
        let value = match value {
            // Two of these signs are a comparison, and not a name with its value.
            Value::String(text) if text.starts_with('=') => Value::from(text.as_str()).to_string(),
            value => word(value),
        };
        words.push(format!("{name}={value}"));
    }
    Ok(words)
}

fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "None".to_owned(),
        // JSON is YAML in one line.
        other => other.to_string(),
    }
}
