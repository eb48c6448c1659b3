//! Whatever bytes come in: a result or problems with places, never a panic.

use std::collections::BTreeMap;

use metalk8s_diagnostics::Paint;
use metalk8s_saltcompat::{
    Target, TargetKind, compile, output, parse_words,
    runner::{self, DEPLOY_NODE, NodeSettings},
    single,
};
use proptest::prelude::*;
use serde_json::json;

const GOOD: &str = "\
include: [other]
nginx:
  pkg.installed: [{version: 1.10}]
  service.running:
    - enable: True
    - watch: [{file: conf}]
conf:
  file.managed:
    - names: [/a, {/b: [{mode: '0600'}]}]
    - contents: |
        text
    - require: [{sls: other}, {pkg: nginx}, y]
x: &anchor
  cmd.run: {unless: [a, b], env: [{A: b}]}
";

fn check(bytes: Vec<u8>) -> Result<(), TestCaseError> {
    let other = b"y: {group.present: []}\n".to_vec();
    let roots = BTreeMap::from([("web.sls".to_owned(), bytes), ("other.sls".to_owned(), other)]);
    match compile(&["web".to_owned()], &roots) {
        Ok(compiled) => prop_assert!(compiled.graph.validate().is_ok()),
        Err(err) => {
            prop_assert!(!err.problems.is_empty());
            for problem in err.problems {
                prop_assert!(problem.file.is_some(), "{problem}");
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes_compile_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        check(bytes)?;
    }

    #[test]
    fn any_yaml_like_text_compiles_or_is_refused(text in "[a-c:{}\\[\\]&*!|>'\"%#?\\- \n,.<]{0,200}") {
        check(text.into_bytes())?;
    }

    #[test]
    fn a_damaged_file_compiles_or_is_refused(
        cuts in prop::collection::vec((0..GOOD.len(), 0..12_usize, "[a-c:{}\\[\\]&*| \n-]{0,4}"), 1..6)
    ) {
        let mut text = GOOD.to_owned();
        for (at, length, insert) in cuts {
            let at = at.min(text.len());
            let end = (at + length).min(text.len());
            text.replace_range(at..end, &insert);
        }
        check(text.into_bytes())?;
    }

    #[test]
    fn any_words_are_understood_or_refused(words in prop::collection::vec("\\PC{0,40}", 0..6)) {
        let parsed = parse_words(&words);
        let mut state = vec!["file.managed".to_owned()];
        state.extend(words);
        let _outcome = single(&parse_words(&state), &BTreeMap::new());
        for value in &parsed.positional {
            output::value("local", value, output::Out::Nested, Paint::new(true)).unwrap();
            output::value("local", value, output::Out::Yaml, Paint::default()).unwrap();
        }
    }
}

const KINDS: [TargetKind; 5] =
    [TargetKind::Glob, TargetKind::List, TargetKind::Pcre, TargetKind::Grain, TargetKind::Compound];

proptest! {
    #[test]
    fn any_target_means_somebody_or_is_refused(
        text in prop_oneof!["\\PC{0,40}", "((and|or|not|[(]|[)]|[LGEX]@|a:b|[*]|n-1) {0,1}){0,12}"]
    ) {
        let grains = json!({"a": {"b": ["c", {"d": 1}]}, "os": null});
        for kind in KINDS {
            match Target::parse(kind, &text) {
                Ok(target) => {
                    target.is_for("n-1", Some(&grains));
                    target.missing(["n-1"]);
                }
                Err(err) => prop_assert!(!err.problems.is_empty()),
            }
        }
    }

    #[test]
    fn any_words_of_a_runner_are_understood_or_refused(words in prop::collection::vec("\\PC{0,40}", 0..6)) {
        for known in runner::RUNNERS {
            let _outcome = runner::parse(known.name, &words);
        }
        for value in &parse_words(&words).positional {
            prop_assert!(NodeSettings::from_pillar(DEPLOY_NODE, value).is_err());
        }
    }
}

#[test]
fn the_undamaged_file_compiles() {
    check(GOOD.as_bytes().to_vec()).unwrap();
    let other = b"y: {group.present: []}\n".to_vec();
    let roots = BTreeMap::from([("web.sls".to_owned(), GOOD.into()), ("other.sls".to_owned(), other)]);
    assert_eq!(compile(&["web".to_owned()], &roots).unwrap().graph.len(), 6);
}
