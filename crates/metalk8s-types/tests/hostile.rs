//! Whatever stands in the file of a configuration: it is read, or refused with places. See fuzz/README.md.

use metalk8s_types::{
    BootstrapConfiguration,
    bootstrap_config::{MAX_BYTES, MistakeCode},
};

#[path = "hostile/configuration.rs"]
mod configuration;
#[path = "../../../fuzz/seeded.rs"]
mod seeded;

const WORDS: [&str; 16] = [
    "&a ",
    "*a",
    "!!str ",
    "[",
    "]",
    "{",
    "}",
    ": ",
    "- ",
    "\n  ",
    "null",
    "10.0.0.0/8",
    "/a/../b",
    "'",
    "|\n",
    "\u{2028}",
];

#[test]
fn any_configuration_is_read_or_refused_with_places() {
    seeded::run("configuration", &WORDS, 10_000, configuration::check);
}

/// Seconds would pass if keys or ranges were compared each with each.
#[test]
fn a_file_full_of_keys_or_values_is_refused_as_too_large() {
    let keys: String = (0..100_000).map(|number| format!("k{number}:\n")).collect();
    let archives: String = (0..100_000).map(|number| format!(" /{number},")).collect();
    let nets: String =
        (0..60_000).map(|number| format!("10.{}.{}.0/24,", number / 256 % 256, number % 256)).collect();
    for text in [keys, format!("archives: [{archives}]\n"), format!("networks: {{controlPlane: [{nets}]}}\n")]
    {
        assert!(text.len() < MAX_BYTES);
        let mistakes = BootstrapConfiguration::parse(text.as_bytes()).expect_err("no one needs as much");
        assert_eq!(mistakes[0].code, MistakeCode::TooLarge);
    }
}
