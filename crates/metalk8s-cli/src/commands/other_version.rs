//! What is asked of another version: its own program does it.

use std::{env, error::Error, ffi::OsStr, os::unix::process::CommandExt, path::Path, process::Command};

use metalk8s_diagnostics::{Diagnosed, code_of, code_of_io, explain, sentence};
use metalk8s_formulas::{repositories_authority, repositories_endpoint};
use metalk8s_orchestrator::programs;
use metalk8s_saltcompat::Minion;
use metalk8s_types::{VERSION, environment, paths};

use super::salt_call::Here;

/// The version that a program was started as by another.
const STARTED_AS: &str = "METALK8S_STARTED_AS";

/// Goes on as the program of another version, which reads the same command line. Returns why it could not, and nothing
/// where no cluster tells of programs.
pub(super) async fn go_on_as(version: &str, here: &Here) -> Option<Diagnosed> {
    if let Some(why) = is_another(version, env::var_os(STARTED_AS).as_deref()) {
        return Some(why);
    }
    let told = here.told();
    let Some(settings) = told.settings_of_cluster() else {
        // The Bootstrap node has the program itself.
        let is_here = here.environments().contains(&environment(version));
        return told.others().err().filter(|_| !is_here).map(|why| unknown(version, why));
    };
    let endpoints: Vec<String> =
        settings.repositories.values().map(|address| repositories_endpoint(*address)).collect();
    let (folder, authority) = (Path::new(paths::PROGRAMS), repositories_authority());
    match programs::program_of(settings, version, folder, &authority, &endpoints).await {
        Ok(program) => {
            let mut words = env::args_os();
            let mut command = Command::new(&program);
            // It may have been called by the name `salt-call`.
            command.arg0(words.next().unwrap_or_else(|| "metalk8s".into())).args(words);
            let error = command.env(STARTED_AS, version).exec();
            let doing = format!("could not run `{}`: {error}", program.display());
            Some(Diagnosed::with_code(code_of_io(&error), doing))
        }
        Err(error) => Some(Diagnosed::new(error)),
    }
}

/// Two programs that take each other for the right one would go on for ever.
fn is_another(version: &str, started_as: Option<&OsStr>) -> Option<Diagnosed> {
    let told = || format!("the program that is offered as {version} is {VERSION}");
    started_as
        .filter(|started| *started == version)
        .map(|_| Diagnosed::with_code(explain::ARCHIVE_WRONG_VERSION, told()))
}

/// Why the program is not known, as long as the cluster cannot be asked.
fn unknown(version: &str, why: Box<dyn Error + Send + Sync>) -> Diagnosed {
    let told = format!("the program of {version} is not known: {}", sentence(why.as_ref()));
    let salt = format!("`salt NODE state.sls ... saltenv={}`", environment(version));
    Diagnosed::with_code(code_of(why.as_ref()), told).hint(format!("type {salt} where the command `salt` is"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_started_as_a_version_and_is_another_does_not_go_on_for_ever() {
        let told = is_another("9.9.9", Some(OsStr::new("9.9.9"))).expect("it was started as that");
        assert_eq!(told.to_string(), format!("the program that is offered as 9.9.9 is {VERSION}"));
        assert!(is_another("9.9.9", None).is_none());
        assert!(is_another("9.9.9", Some(OsStr::new("9.9.8"))).is_none());
    }

    #[test]
    fn without_the_cluster_it_is_told_why_and_what_to_type() {
        let why = Diagnosed::with_code(explain::API_UNREACHABLE, "the API did not answer");
        let told = unknown("9.9.9", why.into());
        assert_eq!(told.code(), Some(explain::API_UNREACHABLE));
        assert_eq!(told.to_string(), "the program of 9.9.9 is not known: the API did not answer");
        assert!(told.hints()[0].0.contains("`salt NODE state.sls ... saltenv=metalk8s-9.9.9`"), "{told:?}");
    }
}
