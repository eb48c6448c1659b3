//! How a suite ended, for programs: the word in `suite-NAME.status`, and what became of each check in the JUnit file
//! `suite-NAME.xml`.
//!
//! Both say from the beginning that it failed, so that a suite that was killed is not taken for one that ended well.
//! `scripts/doors/test` writes the same for its other parts.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use jiff::Timestamp;
use metalk8s_diagnostics::Printer;

use super::{Finding, Options, Suite, Tally};

/// What fails in a suite that was killed, or that found no machines.
const WHOLE: &str = "the suite runs to its end";

/// Runs a suite, and leaves in a folder how it ended.
///
/// `Err` when there are no machines to run on, or the files cannot be written.
pub fn run(suite: &Suite, options: &Options, folder: &Path, printer: &mut Printer) -> Result<Tally> {
    let files = Files::begin(folder, suite.name)?;
    let result = (suite.run)(options, printer);
    let written = match &result {
        Ok(tally) => files.end(&tally.findings),
        Err(error) => files.end(&[Finding::failed(WHOLE, format!("{error:#}"))]),
    };
    let tally = result?;
    written?;
    Ok(tally)
}

/// A JUnit file: a test suite with a test case for each check.
fn junit(stage: &str, began: Timestamp, took: Duration, findings: &[Finding]) -> String {
    let failed = findings.iter().filter(|finding| finding.failure.is_some()).count();
    let cases: String = findings.iter().map(|finding| test_case(stage, finding)).collect();
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuite name="{}" tests="{}" failures="{failed}" time="{:.3}" timestamp="{began:.0}">
{cases}</testsuite>
"#,
        escaped(stage),
        findings.len(),
        took.as_secs_f64(),
    )
}

fn test_case(stage: &str, finding: &Finding) -> String {
    let failure = finding.failure.as_deref().map_or_else(String::new, |why| {
        // The message is what is shown in lists; all lines stand inside.
        let message = escaped(why.lines().next().unwrap_or_default());
        format!("    <failure message=\"{message}\">{}</failure>\n", escaped(why))
    });
    let notes = if finding.notes.is_empty() {
        String::new()
    } else {
        format!("    <system-out>{}</system-out>\n", escaped(&finding.notes.join("\n")))
    };
    format!(
        "  <testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\">\n{failure}{notes}  </testcase>\n",
        escaped(stage),
        escaped(&finding.name),
        finding.took.as_secs_f64(),
    )
}

/// A text as it may stand in XML 1.0, also in an attribute.
fn escaped(text: &str) -> String {
    let mut xml = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            '\'' => xml.push_str("&apos;"),
            // As itself it is read as a line break.
            '\r' => xml.push_str("&#13;"),
            '\n' | '\t' => xml.push(character),
            // These may not be there in any form, and machines say them all the same: in colours, for instance.
            '\0'..' ' | '\u{fffe}' | '\u{ffff}' => xml.push(char::REPLACEMENT_CHARACTER),
            _ => xml.push(character),
        }
    }
    xml
}

/// The files of one suite.
struct Files<'f> {
    folder: &'f Path,
    stage: String,
    began: Timestamp,
    started: Instant,
}

impl<'f> Files<'f> {
    fn begin(folder: &'f Path, suite: &str) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("could not make `{}`", folder.display()))?;
        let stage = format!("suite-{suite}");
        let files = Self { folder, stage, began: Timestamp::now(), started: Instant::now() };
        files.write("status", "failed\n")?;
        files.write_junit(&[Finding::failed(WHOLE, "it did not end")])?;
        Ok(files)
    }

    fn end(&self, findings: &[Finding]) -> Result<()> {
        self.write_junit(findings)?;
        // Last, so that the other file is whole where this one tells a success.
        if findings.iter().all(|finding| finding.failure.is_none()) {
            self.write("status", "success\n")?;
        }
        Ok(())
    }

    fn write_junit(&self, findings: &[Finding]) -> Result<()> {
        self.write("xml", &junit(&self.stage, self.began, self.started.elapsed(), findings))
    }

    /// Puts a file in the place of the former one at once: who is killed here leaves no half of it.
    fn write(&self, extension: &str, text: &str) -> Result<()> {
        let path = self.folder.join(format!("{}.{extension}", self.stage));
        let draft = path.with_extension(format!("{extension}.new"));
        fs::write(&draft, text)
            .and_then(|()| fs::rename(&draft, &path))
            .with_context(|| format!("could not write `{}`", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use std::{io, path::PathBuf};

    use anyhow::{bail, ensure};

    use super::*;

    /// What the suite gives, and its two files afterwards.
    fn run_in(
        folder: &Path,
        run_suite: fn(&Options, &mut Printer) -> Result<Tally>,
    ) -> (Result<Tally>, String, String) {
        let suite = Suite { name: "example", about: "nothing", run: run_suite };
        let options = Options {
            lab: "example".parse().unwrap(),
            archive: PathBuf::new(),
            checkout: folder.to_owned(),
            rounds: None,
            seed: 1,
            full: false,
        };
        let result = run(&suite, &options, folder, &mut Printer::to(io::sink(), io::sink()));
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        (result, read("suite-example.status"), read("suite-example.xml"))
    }

    fn good() -> Finding {
        Finding {
            name: "the node is Ready".to_owned(),
            took: Duration::from_millis(1500),
            failure: None,
            notes: vec!["seed 7".to_owned(), "2 < 3".to_owned()],
        }
    }

    #[test]
    fn each_check_is_a_test_case_with_seconds_reason_and_notes() {
        let findings = [good(), Finding::failed("`up` & `down`", "no \"answer\":\nnone")];
        let began = "2026-01-12T07:11:30.25Z".parse().unwrap();
        let expected = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuite name="suite-example" tests="2" failures="1" time="61.250" timestamp="2026-01-12T07:11:30Z">
  <testcase classname="suite-example" name="the node is Ready" time="1.500">
    <system-out>seed 7
2 &lt; 3</system-out>
  </testcase>
  <testcase classname="suite-example" name="`up` &amp; `down`" time="0.000">
    <failure message="no &quot;answer&quot;:">no &quot;answer&quot;:
none</failure>
  </testcase>
</testsuite>
"#;
        assert_eq!(junit("suite-example", began, Duration::from_millis(61_250), &findings), expected);
    }

    #[test]
    fn what_xml_cannot_hold_is_written_otherwise() {
        assert_eq!(escaped(r#"<a b="c">'&'"#), "&lt;a b=&quot;c&quot;&gt;&apos;&amp;&apos;");
        assert_eq!(escaped("one\r\n\ttwo"), "one&#13;\n\ttwo");
        assert_eq!(
            escaped("\u{1b}[31mred\0\u{1f}\u{fffe}\u{ffff}"),
            "\u{fffd}[31mred\u{fffd}\u{fffd}\u{fffd}\u{fffd}"
        );
        assert_eq!(escaped("~ é \u{fffd} \u{1f980}"), "~ é \u{fffd} \u{1f980}");
    }

    #[test]
    fn a_suite_has_failed_until_it_has_ended_well() {
        let folder = tempfile::tempdir().unwrap();
        let (result, status, xml) = run_in(folder.path(), |_, _| Ok(Tally { findings: vec![good()] }));
        assert_eq!((result.unwrap().passed(), status.as_str()), (1, "success\n"));
        assert!(xml.contains("tests=\"1\" failures=\"0\""), "{xml}");

        // The next one, as somebody sees it who looks meanwhile.
        let (result, status, _) = run_in(folder.path(), |options, _| {
            let read = |name: &str| fs::read_to_string(options.checkout.join(name));
            let (status, xml) = (read("suite-example.status")?, read("suite-example.xml")?);
            ensure!(status == "failed\n", "status: {status}");
            ensure!(xml.contains("failures=\"1\"") && xml.contains("it did not end"), "{xml}");
            Ok(Tally { findings: vec![good()] })
        });
        assert_eq!((result.unwrap().failed(), status.as_str()), (0, "success\n"));
    }

    #[test]
    fn a_failed_check_and_a_suite_without_machines_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let (result, status, xml) = run_in(folder.path(), |_, _| {
            Ok(Tally { findings: vec![good(), Finding::failed("all pods run", "one is Pending")] })
        });
        assert_eq!((result.unwrap().failed(), status.as_str()), (1, "failed\n"));
        assert!(xml.contains("<failure message=\"one is Pending\">"), "{xml}");

        let (result, status, xml) = run_in(folder.path(), |_, _| bail!("there is no lab"));
        assert_eq!(result.unwrap_err().to_string(), "there is no lab");
        assert_eq!(status, "failed\n");
        assert!(xml.contains(WHOLE) && xml.contains("<failure message=\"there is no lab\">"), "{xml}");

        let files: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(files.len(), 2, "{files:?}");
    }
}
