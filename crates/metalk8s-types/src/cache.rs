//! Where the build chain and the lab keep what outlives checkouts. `scripts/doors/cache` has the same rule, for scripts.

use std::{ffi::OsString, path::PathBuf};

/// `$METALK8S_CACHE`, else `metalk8s` in `$XDG_CACHE_HOME`, else in `.cache` of `$HOME`: the first of these that is
/// an absolute path. `variable` is the environment.
pub fn cache_folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let within = |name: &str, rest: &str| Some(PathBuf::from(variable(name)?).join(rest));
    let places = [
        variable("METALK8S_CACHE").map(PathBuf::from),
        within("XDG_CACHE_HOME", "metalk8s"),
        within("HOME", ".cache/metalk8s"),
    ];
    places.into_iter().flatten().find(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use std::{path::Path, process::Command};

    use super::*;

    /// What Rust and what the script says with these variables.
    fn found(variables: &[(&str, &str)]) -> [Option<String>; 2] {
        let ours = cache_folder(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        });
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/doors/cache");
        let mut command = Command::new("bash");
        for name in ["METALK8S_CACHE", "XDG_CACHE_HOME", "HOME"] {
            command.env_remove(name);
        }
        let output = command.arg(script).envs(variables.iter().copied()).output().unwrap();
        let theirs = String::from_utf8(output.stdout).unwrap().trim_end().to_owned();
        assert_eq!(output.status.success(), !theirs.is_empty());
        [ours.map(|path| path.to_str().unwrap().to_owned()), Some(theirs).filter(|text| !text.is_empty())]
    }

    #[test]
    fn programs_and_scripts_find_the_same_folder() {
        let (cache, xdg, home) = (("METALK8S_CACHE", "/c"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/h"));
        for (variables, expected) in [
            (vec![cache, xdg, home], Some("/c")),
            (vec![xdg, home], Some("/x/metalk8s")),
            (vec![home], Some("/h/.cache/metalk8s")),
            (vec![("METALK8S_CACHE", ""), ("XDG_CACHE_HOME", "relative"), home], Some("/h/.cache/metalk8s")),
            (vec![("METALK8S_CACHE", "relative"), xdg], Some("/x/metalk8s")),
            (vec![("HOME", "")], None),
            (vec![], None),
        ] {
            let expected = expected.map(str::to_owned);
            assert_eq!(found(&variables), [expected.clone(), expected], "{variables:?}");
        }
    }
}
