//! Licences of what others wrote, as SPDX expressions for the bill of materials.
//!
//! Begin at [`modules`] for Go and at [`debian`] for Debian. Each is read by a small task of its own, from what is
//! really inside: a build that takes programs out of the store takes their licences from there as well.
//!
//! Invariant: nothing is guessed. What is not recognised stays [`UNKNOWN`], or is quoted in full.

use std::collections::{BTreeMap, BTreeSet};

pub use metalk8s_artifacts::sbom::UNKNOWN;

use crate::{context::Context, layers::LayerSpec, task::Task};

pub mod debian;
pub mod modules;
pub mod recognise;

/// The tasks that find licences out. `shared` are the layers that may hold Debian packages.
pub fn tasks(ctx: &Context, shared: &BTreeMap<String, LayerSpec>) -> anyhow::Result<Vec<Task>> {
    let mut tasks = modules::tasks(ctx)?;
    tasks.push(debian::task(shared));
    Ok(tasks)
}

/// The expression that demands all of these; [`UNKNOWN`] when one of them is, or when there are none.
pub fn all_of<'a>(expressions: impl IntoIterator<Item = &'a str>) -> String {
    let mut terms = BTreeSet::new();
    for expression in expressions {
        if expression == UNKNOWN {
            return UNKNOWN.to_owned();
        }
        terms.extend(conjuncts(expression));
    }
    match terms.len() {
        0 => UNKNOWN.to_owned(),
        1 => terms.into_iter().map(|term| plain(&term).to_owned()).collect(),
        _ => terms.into_iter().collect::<Vec<_>>().join(" AND "),
    }
}

/// The terms of an expression that all must hold; those that leave a choice in parentheses.
fn conjuncts(expression: &str) -> Vec<String> {
    let (mut terms, mut words, mut depth, mut choice) = (Vec::new(), Vec::new(), 0_usize, false);
    for word in expression.split_whitespace() {
        if word == "AND" && depth == 0 {
            terms.push(words.join(" "));
            words.clear();
            continue;
        }
        choice |= word == "OR" && depth == 0;
        depth = (depth + word.matches('(').count()).saturating_sub(word.matches(')').count());
        words.push(word);
    }
    terms.push(words.join(" "));
    if choice { vec![format!("({expression})")] } else { terms }
}

fn plain(term: &str) -> &str {
    term.strip_prefix('(').and_then(|term| term.strip_suffix(')')).unwrap_or(term)
}

/// The licence that a crate declares; the older form `MIT/Apache-2.0` means a choice.
pub fn of_crate(declared: &str) -> String {
    let text = declared.replace('/', " OR ");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if is_valid(&text) { text } else { UNKNOWN.to_owned() }
}

/// Whether a text is an SPDX expression, with licences that the list of SPDX has, or quoted ones.
pub fn is_valid(expression: &str) -> bool {
    spdx::Expression::parse(expression).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_keeps_choices_together_and_names_each_licence_once() {
        assert_eq!(all_of(["MIT", "ISC OR MIT", "ISC AND MIT"]), "(ISC OR MIT) AND ISC AND MIT");
        assert_eq!(all_of(["ISC OR MIT"]), "ISC OR MIT");
        assert_eq!(all_of(["ISC AND (MIT OR Zlib)", "ISC"]), "(MIT OR Zlib) AND ISC");
        assert!(is_valid(&all_of(["MIT OR Zlib AND ISC", "0BSD"])));
    }

    #[test]
    fn one_unknown_licence_makes_the_whole_unknown() {
        assert_eq!(all_of(["MIT", UNKNOWN]), UNKNOWN);
        assert_eq!(all_of([]), UNKNOWN);
    }

    #[test]
    fn the_older_form_of_a_crate_is_a_choice() {
        assert_eq!(of_crate("MIT/Apache-2.0"), "MIT OR Apache-2.0");
        assert_eq!(of_crate("Unlicense / MIT"), "Unlicense OR MIT");
        assert_eq!(of_crate("(MIT OR Apache-2.0) AND Unicode-3.0"), "(MIT OR Apache-2.0) AND Unicode-3.0");
        assert_eq!(of_crate(""), UNKNOWN);
        assert_eq!(of_crate("see the file"), UNKNOWN);
    }
}
