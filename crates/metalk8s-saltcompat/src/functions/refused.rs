//! State functions that Salt's users know and that are not offered, each with its reason.

/// Function, why it is not supported, what to use instead.
const REFUSED: &[(&str, &str, &str)] = &[
    (
        "pkg.latest",
        "without a network nobody knows which version is the latest",
        "`pkg.installed` with `version`",
    ),
    (
        "pkg.uptodate",
        "updates of the whole system are the host's own affair",
        "`pkg.installed` with `version`",
    ),
    ("file.line", "what it does depends on what it did before", "`file.replace`, `file.append`"),
    ("file.blockreplace", "parts are known by their lines", "`file.replace`, `file.append`"),
    (
        "file.recurse",
        "folders of the file roots are not listed",
        "`file.managed`, once for each file, by `names`",
    ),
    ("cmd.script", "programs are files first", "`file.managed` for the script, then `cmd.run`"),
    ("module.run", "functions that are no states cannot be repeated safely", "`cmd.run` with `unless`"),
    ("git.latest", "there is no network", "`file.managed` with `source`"),
    ("docker_container.running", "containers are run by Kubernetes", "a manifest applied with kubectl"),
];

/// Why a function is not supported, and what to use instead.
pub(super) fn reason(full: &str) -> Option<(&'static str, &'static str)> {
    REFUSED.iter().find(|(name, _, _)| *name == full).map(|(_, why, instead)| (*why, *instead))
}
