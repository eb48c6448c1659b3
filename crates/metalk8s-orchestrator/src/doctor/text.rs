//! The doctor's report as lines for people.

use std::fmt::Write;

use metalk8s_diagnostics::Paint;

use super::{Report, Verdict};
use crate::precheck::Severity;

/// A line for each area, and below it one for each finding with what to do about it; the same advice once.
pub fn text(report: &Report, paint: Paint) -> String {
    let mut text = String::new();
    let width = report.verdicts.iter().map(|verdict| verdict.area.title().len()).max().unwrap_or(0);
    for Verdict { area, looked_at, findings } in &report.verdicts {
        let title = format!("{:width$}", area.title());
        let mark = match findings.iter().map(|finding| finding.severity).collect::<Vec<_>>().as_slice() {
            [] => paint.green("ok     "),
            all if all.contains(&Severity::Error) => paint.red("error  "),
            _ => paint.yellow("warning"),
        };
        line(&mut text, &format!("{mark}  {title}  {looked_at}"));
        for (position, finding) in findings.iter().enumerate() {
            let severity = match finding.severity {
                Severity::Error => paint.red("error"),
                Severity::Warning => paint.yellow("warning"),
            };
            let (code, subject, message) = (finding.code, &finding.subject, &finding.message);
            line(&mut text, &format!("         {severity}[{code}] {subject}: {message}"));
            let comes_again = findings[position + 1..].iter().any(|other| other.todo == finding.todo);
            if !comes_again {
                line(&mut text, &format!("           what to do: {}", finding.todo));
            }
        }
    }
    text
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use metalk8s_diagnostics::explain::{DNS_WRONG, POD_NOT_RUNNING};

    use super::*;
    use crate::doctor::{Area, Finding};

    #[test]
    fn an_area_that_is_well_has_a_line_and_the_same_advice_is_given_once() {
        let verdict = |area, findings| Verdict { area, looked_at: "2 of them".into(), findings };
        let pods = vec![
            Finding::error(POD_NOT_RUNNING, "a/b", "one"),
            Finding::warning(POD_NOT_RUNNING, "a/c", "two"),
        ];
        let report = Report {
            verdicts: vec![
                verdict(Area::Clocks, Vec::new()),
                verdict(Area::Pods, pods),
                verdict(Area::Dns, vec![Finding::warning(DNS_WRONG, "name", "three")]),
            ],
        };
        let text = text(&report, Paint::new(false));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "ok       Clocks  2 of them");
        assert_eq!(lines[1], "error    Pods    2 of them");
        assert_eq!(lines[2], "         error[MK2017] a/b: one");
        assert_eq!(lines[3], "         warning[MK2017] a/c: two");
        assert!(lines[4].starts_with("           what to do: "), "{text}");
        assert!(lines[5].starts_with("warning  DNS     "), "{text}");
        assert_eq!(report.worst(), Some(Severity::Error));
    }
}
