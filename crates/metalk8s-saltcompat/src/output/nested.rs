//! Salt's indented form.

use serde_json::Value;

use super::python;

/// A value at an indentation; each line ended.
pub(super) fn display(value: &Value, indent: usize) -> String {
    let mut out = String::new();
    write(&mut out, value, indent, "");
    out
}

fn write(out: &mut String, value: &Value, indent: usize, prefix: &str) {
    match value {
        Value::Object(map) => {
            if indent > 0 {
                line(out, indent, "", "----------");
            }
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            for key in keys {
                line(out, indent, prefix, &format!("{key}:"));
                write(out, &map[key], indent + 4, "");
            }
        }
        Value::Array(items) => {
            for item in items {
                match item {
                    Value::Array(_) => {
                        line(out, indent, "", "|_");
                        write(out, item, indent + 2, "- ");
                    }
                    Value::Object(_) => {
                        line(out, indent, "", "|_");
                        write(out, item, indent + 2, "");
                    }
                    _ => write(out, item, indent, "- "),
                }
            }
        }
        Value::String(text) => text.lines().for_each(|text| line(out, indent, prefix, text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => line(out, indent, prefix, &python::plain(value)),
    }
}

fn line(out: &mut String, indent: usize, prefix: &str, text: &str) {
    out.extend(std::iter::repeat_n(' ', indent));
    out.push_str(prefix);
    out.push_str(text);
    out.push('\n');
}
