//! What became of tests, as ginkgo writes it, beside the list of all and the list of those that are left out.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// The kind of a node of ginkgo that is a test; others make ready and clean up.
const TEST: &str = "It";

/// A test that was run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Test {
    /// As the list of conformance tests has it.
    pub(super) name: String,
    /// How long it took.
    pub(super) took: Duration,
    /// Why it did not pass.
    pub(super) failure: Option<String>,
}

/// `[{"SpecReports": [...]}]`, and much more.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Suite {
    #[serde(default)]
    spec_reports: Vec<Spec>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Spec {
    /// Go writes an empty list as `null`.
    container_hierarchy_texts: Option<Vec<String>>,
    #[serde(default)]
    leaf_node_type: String,
    #[serde(default)]
    leaf_node_text: String,
    #[serde(default)]
    state: String,
    /// Nanoseconds.
    #[serde(default)]
    run_time: u64,
    failure: Option<Failure>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Failure {
    #[serde(default)]
    message: String,
}

/// The tests of a report that were begun, and what failed before or after all of them.
pub(super) fn tests(report: &[u8]) -> Result<Vec<Test>> {
    let suites: Vec<Suite> = serde_json::from_slice(report).context("it is no JSON of ginkgo")?;
    Ok(suites.into_iter().flat_map(|suite| suite.spec_reports).filter_map(Spec::test).collect())
}

impl Spec {
    fn test(self) -> Option<Test> {
        let message = self.failure.map(|failure| failure.message).filter(|message| !message.is_empty());
        let failure = match (self.state.as_str(), message) {
            ("passed", _) => None,
            // No pattern asked for it.
            ("skipped" | "pending", None) => return None,
            ("skipped", Some(why)) => Some(format!("it skipped itself: {why}")),
            (state, why) => Some(format!("{state}: {}", why.unwrap_or_default())),
        };
        if self.leaf_node_type != TEST && failure.is_none() {
            return None;
        }
        let mut words = self.container_hierarchy_texts.unwrap_or_default();
        words.push(if self.leaf_node_type == TEST { self.leaf_node_text } else { self.leaf_node_type });
        Some(Test { name: words.join(" "), took: Duration::from_nanos(self.run_time), failure })
    }
}

/// Tests that cannot be run, with the reasons.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LeftOut(BTreeMap<String, String>);

impl LeftOut {
    /// Reads `"name" = "reason"`, in lines.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let tests: BTreeMap<String, String> = toml::from_str(text)?;
        for (name, why) in &tests {
            ensure!(!why.trim().is_empty(), "`{name}` has no reason");
        }
        Ok(Self(tests))
    }

    /// Names and reasons.
    pub(super) fn tests(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, why)| (name.as_str(), why.as_str()))
    }

    /// The expression that fits exactly these; none where nothing is left out.
    pub(super) fn pattern(&self) -> Option<String> {
        let names: Vec<String> = self.0.keys().map(|name| regex::escape(name)).collect();
        Some(names.join("|")).filter(|pattern| !pattern.is_empty())
    }

    /// What is none of these tests.
    pub(super) fn unknown(&self, names: &[String]) -> Vec<&str> {
        self.0.keys().filter(|name| !names.contains(name)).map(String::as_str).collect()
    }
}

/// What became of all tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sum {
    /// How many passed.
    pub(super) passed: usize,
    /// Each that did not, with the reason.
    pub(super) failed: Vec<String>,
    /// Those that were neither run nor left out.
    pub(super) not_run: Vec<String>,
    left_out: usize,
    all: usize,
}

impl Sum {
    /// Of these tests, of which some were left out; `names` are all that there are.
    pub(super) fn of(tests: &[Test], left_out: &LeftOut, names: &[String]) -> Self {
        let failed = tests.iter().filter_map(|test| Some((test, test.failure.as_ref()?)));
        let failed: Vec<String> = failed.map(|(test, why)| format!("{}: {why}", test.name)).collect();
        let run: BTreeSet<&str> = tests.iter().map(|test| test.name.as_str()).collect();
        let is_open = |name: &&String| !run.contains(name.as_str()) && !left_out.0.contains_key(*name);
        Self {
            passed: tests.iter().filter(|test| test.failure.is_none()).count(),
            failed,
            not_run: names.iter().filter(is_open).cloned().collect(),
            left_out: left_out.0.len(),
            all: names.len(),
        }
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, not_run, left_out, all } = self;
        write!(
            f,
            "{passed} passed, {} failed, {left_out} left out of {all} conformance tests",
            failed.len()
        )?;
        if not_run.is_empty() { Ok(()) } else { write!(f, ", {} not run", not_run.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"[{"SuiteSucceeded": false, "SpecReports": [
        {"ContainerHierarchyTexts": null, "LeafNodeType": "SynchronizedBeforeSuite", "LeafNodeText": "",
         "State": "passed", "RunTime": 1000},
        {"ContainerHierarchyTexts": ["[sig-node] Pods"], "LeafNodeType": "It",
         "LeafNodeText": "should run [Conformance]", "State": "passed", "RunTime": 1500000000},
        {"ContainerHierarchyTexts": ["[sig-node] Pods"], "LeafNodeType": "It",
         "LeafNodeText": "should stop [Conformance]", "State": "failed", "RunTime": 1,
         "Failure": {"Message": "it did not"}},
        {"ContainerHierarchyTexts": ["[sig-node] Pods"], "LeafNodeType": "It",
         "LeafNodeText": "should fly [Conformance]", "State": "skipped", "RunTime": 1,
         "Failure": {"Message": "no wings"}},
        {"ContainerHierarchyTexts": ["[sig-apps] Job"], "LeafNodeType": "It", "LeafNodeText": "not asked for",
         "State": "skipped", "RunTime": 0}
    ]}]"#;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn tests_that_were_begun_are_told_and_one_that_skips_itself_has_failed() {
        let tests = tests(REPORT.as_bytes()).unwrap();
        let told: Vec<_> = tests.iter().map(|test| (test.name.as_str(), test.failure.as_deref())).collect();
        let expected = [
            ("[sig-node] Pods should run [Conformance]", None),
            ("[sig-node] Pods should stop [Conformance]", Some("failed: it did not")),
            ("[sig-node] Pods should fly [Conformance]", Some("it skipped itself: no wings")),
        ];
        assert_eq!(told, expected);
        assert_eq!(tests[0].took, Duration::from_millis(1500));
    }

    #[test]
    fn what_fails_before_all_tests_has_failed() {
        let report = r#"[{"SpecReports": [{"ContainerHierarchyTexts": null, "LeafNodeType": "SynchronizedBeforeSuite",
            "LeafNodeText": "", "State": "failed", "RunTime": 5, "Failure": {"Message": "no node is ready"}}]}]"#;
        let tests = tests(report.as_bytes()).unwrap();
        assert_eq!(tests[0].name, "SynchronizedBeforeSuite");
        assert_eq!(tests[0].failure.as_deref(), Some("failed: no node is ready"));
    }

    #[test]
    fn a_test_that_is_neither_run_nor_left_out_is_named() {
        let left_out = LeftOut::parse("\"a [Conformance]\" = \"there is no image\"\n").unwrap();
        let all = names(&["[sig-node] Pods should run [Conformance]", "a [Conformance]", "b [Conformance]"]);
        let sum = Sum::of(&tests(REPORT.as_bytes()).unwrap(), &left_out, &all);
        assert_eq!(sum.not_run, ["b [Conformance]"]);
        assert_eq!(sum.to_string(), "1 passed, 2 failed, 1 left out of 3 conformance tests, 1 not run");
    }

    #[test]
    fn what_is_left_out_has_a_reason_and_is_matched_by_its_whole_name() {
        assert!(LeftOut::parse("\"a\" = \" \"\n").is_err());
        assert_eq!(LeftOut::default().pattern(), None);
        let left_out = LeftOut::parse("\"[sig-a] b (c)\" = \"d\"\n\"e\" = \"f\"\n").unwrap();
        assert_eq!(left_out.pattern().unwrap(), r"\[sig\-a\] b \(c\)|e");
        assert_eq!(left_out.unknown(&names(&["e"])), ["[sig-a] b (c)"]);
    }
}
