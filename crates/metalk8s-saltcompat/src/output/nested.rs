//! Salt's indented form, in its colours: names cyan, texts green, other values yellow.

use metalk8s_diagnostics::Paint;
use serde_json::Value;

use super::python;

/// A value at an indentation; each line ended.
pub(super) fn display(value: &Value, indent: usize, paint: Paint) -> String {
    let mut page = Page { out: String::new(), paint };
    page.write(value, indent, "");
    page.out
}

struct Page {
    out: String,
    paint: Paint,
}

impl Page {
    fn write(&mut self, value: &Value, indent: usize, prefix: &str) {
        match value {
            Value::Object(map) => {
                if indent > 0 {
                    self.line(indent, "", "----------", Paint::cyan);
                }
                let mut keys: Vec<&String> = map.keys().collect();
                keys.sort();
                for key in keys {
                    self.line(indent, prefix, &format!("{key}:"), Paint::cyan);
                    self.write(&map[key], indent + 4, "");
                }
            }
            Value::Array(items) => {
                for item in items {
                    match item {
                        Value::Array(_) => {
                            self.line(indent, "", "|_", Paint::green);
                            self.write(item, indent + 2, "- ");
                        }
                        Value::Object(_) => {
                            self.line(indent, "", "|_", Paint::green);
                            self.write(item, indent + 2, "");
                        }
                        _ => self.write(item, indent, "- "),
                    }
                }
            }
            Value::String(text) => {
                text.lines().for_each(|text| self.line(indent, prefix, text, Paint::green));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                self.line(indent, prefix, &python::plain(value), Paint::yellow);
            }
        }
    }

    fn line(&mut self, indent: usize, prefix: &str, text: &str, colour: fn(Paint, &str) -> String) {
        self.out.extend(std::iter::repeat_n(' ', indent));
        self.out.push_str(&colour(self.paint, &format!("{prefix}{text}")));
        self.out.push('\n');
    }
}
