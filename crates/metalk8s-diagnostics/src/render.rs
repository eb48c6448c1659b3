//! An error as a person reads it: what happened, why, what to do.

use std::{
    error::Error,
    io::{self, Write},
};

use crate::{Code, Diagnosed, Hint, Paint, Problems};

/// Writes an error with all its causes and hints.
///
/// ```console
/// error: could not deploy node `node-2` (MK1501)
///   cause: state `Package kubelet=1.20.2` failed
///   cause: apt found no candidate for `kubelet=1.20.2`
/// hint: the repository on the bootstrap node may be unreachable; try `curl http://10.200.1.1:8080/`
/// hint: `metalk8s explain MK1501` tells what it means and what to do
/// ```
///
/// Codes and hints come from every [`Diagnosed`] and [`Problems`] in the chain; the outermost code counts. Where
/// there is none, `usual` finds one.
///
/// # Errors
/// Those of the writer.
pub fn render(
    error: &(dyn Error + 'static),
    usual: Option<fn(&(dyn Error + 'static)) -> Code>,
    paint: Paint,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut code: Option<Code> = None;
    let mut hints: Vec<Hint> = Vec::new();
    let mut causes: Vec<String> = Vec::new();
    let mut problems: Vec<&Problems> = Vec::new();
    let mut next = Some(error);
    while let Some(err) = next {
        let text = err.to_string();
        // Wrappers such as anyhow's repeat the message of what they wrap.
        if causes.last() != Some(&text) {
            causes.push(text);
        }
        let mut collect = |err: &(dyn Error + 'static)| {
            if let Some(diagnosed) = err.downcast_ref::<Diagnosed>() {
                code = code.or(diagnosed.code());
                hints.extend(diagnosed.hints().iter().cloned());
            }
        };
        collect(err);
        let inner: &(dyn Error + 'static) = match err.downcast_ref::<Diagnosed>() {
            Some(diagnosed) => diagnosed.inner(),
            None => err,
        };
        if let Some(found) = inner.downcast_ref::<Problems>() {
            problems.push(found);
            hints.extend(found.hints.iter().cloned());
        }
        next = err.source();
    }

    if code.is_none() && problems.iter().all(|found| found.problems.is_empty()) {
        code = usual.map(|find| find(error));
    }
    let suffix = code.map(|code| format!(" ({code})")).unwrap_or_default();
    let mut causes = causes.into_iter();
    let first = causes.next().unwrap_or_default();
    writeln!(out, "{} {}{suffix}", paint.red("error:"), indented(&first, "  "))?;
    for cause in causes {
        writeln!(out, "  {} {}", paint.bold("cause:"), indented(&cause, "    "))?;
    }
    for problem in problems.iter().flat_map(|found| &found.problems) {
        writeln!(out, "  - {}", indented(&problem.to_string(), "    "))?;
        for (label, text) in [("found:", &problem.found), ("accepted:", &problem.accepted)] {
            if let Some(text) = text {
                writeln!(out, "      {} {}", paint.bold(label), indented(text, "        "))?;
            }
        }
    }
    let mut said: Vec<&Hint> = Vec::new();
    for hint in &hints {
        if !said.contains(&hint) {
            writeln!(out, "{} {}", paint.yellow("hint:"), indented(&hint.0, "  "))?;
            said.push(hint);
        }
    }
    let explained = code.or_else(|| problems.first()?.problems.first().map(|problem| problem.code));
    if let Some(code) = explained {
        writeln!(out, "{} {}", paint.yellow("hint:"), code.pointer())?;
    }
    Ok(())
}

/// Further lines of a text stand under its first, so that the labels stay readable.
fn indented(text: &str, indent: &str) -> String {
    text.trim_end().replace('\n', &format!("\n{indent}"))
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::Context;

    use super::render;
    use crate::{Diagnose, DiagnoseExt, Hint, Paint, Problem, Problems, code_of, explain};

    #[derive(Debug, thiserror::Error)]
    #[error("could not bind port 6443")]
    struct Bind(#[source] io::Error);

    impl Diagnose for Bind {
        fn code(&self) -> Option<crate::Code> {
            Some(explain::PORT_IN_USE)
        }
        fn hints(&self) -> Vec<Hint> {
            vec!["`ss -ltnp` shows who has it".into()]
        }
    }

    fn text(error: &anyhow::Error) -> String {
        let mut out = Vec::new();
        render(error.as_ref(), None, Paint::default(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_error_is_printed_with_causes_code_and_hints_from_deep_in_the_chain() {
        let inner: Result<(), Bind> = Err(Bind(io::Error::other("address in use")));
        let error = inner.diagnose().context("could not start the API server").unwrap_err();
        let code = explain::PORT_IN_USE;
        assert_eq!(
            text(&error),
            format!(
                "error: could not start the API server ({code})\n  cause: could not bind port 6443\n  \
                 cause: address in use\nhint: `ss -ltnp` shows who has it\n\
                 hint: `metalk8s explain {code}` tells what it means and what to do\n"
            )
        );
    }

    #[test]
    fn all_problems_are_listed_with_place_found_and_accepted() {
        let code = explain::CONFIG_BAD_VALUE;
        let problems = vec![
            Problem::new(code, "not a network")
                .at("/etc/metalk8s/bootstrap.yaml", 4, 17)
                .key("networks.pods")
                .found("`10.0.0.0/33`")
                .accepted("a CIDR such as `10.233.0.0/16`"),
            Problem::new(explain::CONFIG_MISSING_KEY, "is missing").key("networks.controlPlane"),
        ];
        let error: anyhow::Error = Problems::new("the configuration is not valid", problems).into();
        let missing = explain::CONFIG_MISSING_KEY;
        assert_eq!(
            text(&error),
            format!(
                "error: the configuration is not valid: 2 mistakes\n  \
                 - /etc/metalk8s/bootstrap.yaml:4:17: `networks.pods`: not a network ({code})\n      \
                 found: `10.0.0.0/33`\n      accepted: a CIDR such as `10.233.0.0/16`\n  \
                 - `networks.controlPlane`: is missing ({missing})\n\
                 hint: `metalk8s explain {code}` tells what it means and what to do\n"
            )
        );
    }

    #[test]
    fn an_error_that_knows_no_code_gets_one_where_all_must_have_one() {
        let coded = |error: anyhow::Error| {
            let mut out = Vec::new();
            render(error.as_ref(), Some(code_of), Paint::default(), &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let missing = io::Error::from(io::ErrorKind::NotFound);
        for (error, code) in [
            (anyhow::anyhow!("no reason"), explain::UNEXPECTED),
            (anyhow::Error::new(missing).context("could not look"), explain::FILE_UNUSABLE),
            (io::Error::from(io::ErrorKind::StorageFull).into(), explain::DISK_FULL),
            (
                Err::<(), _>(Bind(io::Error::other("taken"))).diagnose().unwrap_err().into(),
                explain::PORT_IN_USE,
            ),
        ] {
            let text = coded(error);
            let first = text.lines().next().unwrap_or_default();
            assert!(first.ends_with(&format!(" ({code})")), "{text}");
            assert!(text.contains(&format!("`metalk8s explain {code}`")), "{text}");
        }
        let problems = vec![Problem::new(explain::TOO_FEW_CPUS, "1 is too few")];
        let listed = coded(Problems::new("the machine is not as it must be", problems).into());
        assert!(!listed.contains(explain::UNEXPECTED.as_str()), "{listed}");
    }

    #[test]
    fn further_lines_of_a_cause_are_indented() {
        let error = anyhow::anyhow!("first\nsecond").context("outer");
        assert_eq!(text(&error), "error: outer\n  cause: first\n    second\n");
    }
}
