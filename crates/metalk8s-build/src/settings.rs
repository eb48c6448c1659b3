//! `.env` at the root of the repository: settings in shell export syntax (constants.md, section 8.9).
//!
//! Of the 13 documented keys only those with something to name today have an effect: `BUILD_ROOT`, `GIT_BIN`,
//! `MKISOFS_BIN`, `GOFMT_BIN` and `VAGRANT_SNAPSHOT_NAME`. The others are accepted, so that an old file still works: no
//! container engine, skopeo, hardlink, Vagrant or operator-sdk takes part in a build any more, and the product's name,
//! which `PROJECT_NAME` was, stands in `versions.toml` and in programs. `LIVEDOC_ADDRESS` and `DEBIAN_LOCKED_ONLY` are
//! ours.

use std::{collections::BTreeMap, fs, io, path::Path};

use anyhow::{Context as _, bail};

/// Values of `.env`, by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    /// Reads `.env`; no file means no settings.
    pub fn read(root: &Path) -> anyhow::Result<Self> {
        match fs::read_to_string(root.join(".env")) {
            Ok(text) => Self::parse(&text).context("`.env` is not valid"),
            Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(err) => Err(err).context("could not read `.env`"),
        }
    }

    /// Reads lines of `export KEY=value` or `KEY=value`, with quotes and comments as in a shell.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let mut values = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
            let Some((key, value)) = line.split_once('=') else {
                bail!("line {} is not `export KEY=value`", number + 1);
            };
            let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if key.is_empty() || !key.chars().all(name) {
                bail!("line {} has the key `{key}`, which is none", number + 1);
            }
            let value =
                unquote(value).with_context(|| format!("line {} has a quote without end", number + 1))?;
            values.insert(key.to_owned(), value);
        }
        Ok(Self(values))
    }

    /// The value of `key`, or what it is by default.
    pub fn get<'a>(&'a self, key: &str, default: &'a str) -> &'a str {
        self.0.get(key).map(String::as_str).filter(|value| !value.is_empty()).unwrap_or(default)
    }
}

fn unquote(value: &str) -> Option<String> {
    let mut text = String::new();
    let mut quote = None;
    let mut chars = value.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            ('\\', None | Some('"')) => text.extend(chars.next()),
            (' ' | '\t', None) => break,
            (c, _) => text.push(c),
        }
    }
    quote.is_none().then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_syntax_is_understood() {
        let text = "# settings\nexport BUILD_ROOT='/tmp/my build' # there\nGIT_BIN=\"g\\\"it\"\nX=a\\ b\n";
        let settings = Settings::parse(text).unwrap();
        assert_eq!(settings.get("BUILD_ROOT", "_build"), "/tmp/my build");
        assert_eq!(settings.get("GIT_BIN", "git"), "g\"it");
        assert_eq!(settings.get("X", ""), "a b");
        assert_eq!(settings.get("MKISOFS_BIN", "xorriso"), "xorriso");
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        let error = Settings::parse("export A=1\nwhat\n").unwrap_err();
        assert_eq!(error.to_string(), "line 2 is not `export KEY=value`");
        assert!(Settings::parse("A='x").is_err());
    }
}
