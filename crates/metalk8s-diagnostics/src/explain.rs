//! Every code a person can meet, what it means and what to do about it; works without a network.
//!
//! The first two digits name the area: 10 starting a program, 11 the configuration, 12 the host, 13 the
//! archive, 14 packages and images, 15 states, 16 keys, 17 the cluster, 18 SLS files, 19 other machines over
//! SSH, 20 what the doctor finds. A code is never given a second meaning; a code that is no longer used stays in its table.

mod archive;
mod cluster;
mod config;
mod health;
mod host;
mod keys;
mod packages;
mod sls;
mod ssh;
mod start;
mod states;

use serde::Serialize;

use crate::Code;

pub use archive::*;
pub use cluster::*;
pub use config::*;
pub use health::*;
pub use host::*;
pub use keys::*;
pub use packages::*;
pub use sls::*;
pub use ssh::*;
pub use start::*;
pub use states::*;

/// What a code means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The code.
    pub code: Code,
    /// The mistake in a few words.
    pub title: &'static str,
    /// What it means.
    pub text: &'static str,
    /// What to do.
    pub todo: &'static str,
}

/// Makes the constants of one area together with their explanations, so that neither is without the other.
macro_rules! explanations {
    ($table:ident: $($(#[$doc:meta])* $name:ident = $code:literal, $title:literal, $text:literal, $todo:literal;)*) => {
        $(
            #[doc = concat!("`", $code, "`: ", $title, ".")]
            pub const $name: $crate::Code = $crate::Code::new($code);
        )*
        pub(super) const $table: &[$crate::Explanation] = &[
            $($crate::Explanation { code: $name, title: $title, text: $text, todo: $todo },)*
        ];
    };
}
use explanations;

const TABLES: [&[Explanation]; 11] = [
    start::START,
    config::CONFIG,
    host::HOST,
    archive::ARCHIVE,
    packages::PACKAGES,
    states::STATES,
    keys::KEYS,
    cluster::CLUSTER,
    sls::SLS,
    ssh::SSH,
    health::HEALTH,
];

/// All explanations, by code.
pub fn all() -> impl Iterator<Item = &'static Explanation> {
    TABLES.into_iter().flatten()
}

/// The explanation of a code, written as `MK1203`, `mk1203` or `1203`.
pub fn explain(code: &str) -> Option<&'static Explanation> {
    let code = normal(code);
    all().find(|explanation| explanation.code.as_str() == code)
}

/// The codes most like one that does not exist, best first, at most three.
pub fn nearest(code: &str) -> Vec<Code> {
    let code = normal(code);
    let mut ranked: Vec<(usize, Code)> = all()
        .map(|explanation| (strsim::osa_distance(&code, explanation.code.as_str()), explanation.code))
        .filter(|(distance, _)| *distance <= 2)
        .collect();
    ranked.sort();
    ranked.into_iter().map(|(_, code)| code).take(3).collect()
}

fn normal(code: &str) -> String {
    let upper = code.trim().to_ascii_uppercase();
    if upper.starts_with(|first: char| first.is_ascii_digit()) { format!("MK{upper}") } else { upper }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{TABLES, all, explain, nearest};

    #[test]
    fn codes_are_unique_well_formed_and_in_order() {
        let codes: Vec<&str> = all().map(|explanation| explanation.code.as_str()).collect();
        let unique: BTreeSet<&str> = codes.iter().copied().collect();
        assert_eq!(unique.len(), codes.len(), "a code is used twice");
        assert_eq!(unique.into_iter().collect::<Vec<_>>(), codes, "the tables are sorted");
        for code in codes {
            assert!(code.len() == 6 && code.starts_with("MK") && code[2..].parse::<u16>().is_ok(), "{code}");
        }
    }

    #[test]
    fn each_table_keeps_to_one_area() {
        for table in TABLES {
            let areas: BTreeSet<&str> =
                table.iter().map(|explanation| &explanation.code.as_str()[..4]).collect();
            assert_eq!(areas.len(), 1, "{areas:?}");
        }
    }

    #[test]
    fn every_explanation_says_what_it_means_and_what_to_do() {
        for explanation in all() {
            assert!(!explanation.title.ends_with('.'), "{}", explanation.code);
            for text in [explanation.text, explanation.todo] {
                assert!(text.len() > 20 && text.ends_with('.'), "{}: {text}", explanation.code);
            }
        }
    }

    #[test]
    fn codes_are_found_however_they_are_typed() {
        let expected = explain("MK1201").unwrap();
        assert_eq!(explain("mk1201"), Some(expected));
        assert_eq!(explain(" 1201 "), Some(expected));
        assert_eq!(explain("MK9999"), None);
    }

    #[test]
    fn an_unknown_code_gets_its_nearest_neighbours() {
        assert!(nearest("MK121").iter().any(|code| code.as_str().starts_with("MK121")));
        assert!(nearest("something else").is_empty());
    }
}
