//! Upstream programs, each built from its pinned Go module (components/README.md).

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, bail};

use crate::{
    command,
    context::Context,
    task::{Outcome, Step, Task},
    versions::Component,
};

const RECIPE: &str = include_str!("components.rs");

/// Seconds of a first build on two cores, for the estimate (docs: components).
const GUESSES: [(&str, u64); 9] = [
    ("kubernetes", 480),
    ("kubeadm", 30),
    ("etcd", 80),
    ("containerd", 230),
    ("runc", 45),
    ("cri-tools", 160),
    ("coredns", 80),
    ("calico", 310),
    ("metallb", 170),
];

/// Name of the task that builds the component `name`.
pub fn task_name(name: &str) -> String {
    format!("components:{name}")
}

/// One task per component. `compiler` is what `go version` says.
pub fn tasks(ctx: &Context, compiler: &str) -> Vec<Task> {
    let rows = ctx.versions.components.iter();
    rows.map(|(name, component)| task(ctx, name, component, compiler)).collect()
}

/// What `go version` says, or a word about its absence: only a build needs it.
pub fn compiler() -> String {
    command::text(Command::new("go").arg("version").env("GOTOOLCHAIN", "local")).unwrap_or_default()
}

fn task(ctx: &Context, name: &str, component: &Component, compiler: &str) -> Task {
    let guess = GUESSES.iter().find(|(known, _)| *known == name).map_or(20, |(_, seconds)| *seconds);
    let (folder, owned) = (ctx.root.join("components").join(name), component.clone());
    let wanted = ctx.versions.go.version.clone();
    let found = compiler.to_owned();
    let about = format!("build {name} {} with Go", component.version);
    let facts = vec![RECIPE.to_owned(), format!("{component:?}"), compiler.to_owned()];
    let task = Task::stored(task_name(name), about, move |step| {
        check_compiler(&found, &wanted)?;
        build(step, &folder, &owned)
    });
    Task { files: vec![ctx.root.join("components").join(name)], facts, guess, ..task }
}

fn check_compiler(found: &str, wanted: &str) -> anyhow::Result<()> {
    if found.split(' ').nth(2) == Some(&format!("go{wanted}")) {
        return Ok(());
    }
    if found.is_empty() {
        bail!("`go` is not installed; versions.toml names Go {wanted}")
    }
    bail!("versions.toml names Go {wanted}, installed is `{found}`")
}

fn build(step: &Step<'_>, folder: &Path, component: &Component) -> anyhow::Result<Outcome> {
    let go = step.ctx.cache.join("go");
    fs::create_dir_all(&go).context("could not make the cache of Go")?;
    for (program, row) in &component.programs {
        let mut command = Command::new("go");
        command
            .current_dir(folder)
            .args(["build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags"])
            .arg(linker_flags(component));
        let tags = tags(component);
        if !tags.is_empty() {
            command.arg("-tags").arg(tags);
        }
        command
            .arg("-o")
            .arg(step.out.join(program))
            .arg(&row.package)
            .env("CGO_ENABLED", if component.cgo { "1" } else { "0" })
            .env("GOOS", "linux")
            .env("GOARCH", "amd64")
            .env("GOMODCACHE", go.join("mod"))
            .env("GOCACHE", go.join("build"))
            .env("GOFLAGS", "-modcacherw")
            .env("GOWORK", "off")
            .env("GOTOOLCHAIN", "local");
        step.log.run(&mut command).with_context(|| format!("could not build `{program}`"))?;
    }
    Ok(Outcome::Done)
}

/// The value of `-ldflags`.
pub fn linker_flags(component: &Component) -> String {
    let mut flags = "-s -w -buildid=".to_owned();
    for (variable, value) in &component.stamp {
        flags.push_str(&format!(" -X {variable}={}", value.replace("{version}", &component.version)));
    }
    if component.static_link {
        flags.push_str(" -extldflags -static");
    }
    flags
}

fn tags(component: &Component) -> String {
    let of_static = if component.static_link { &["netgo", "osusergo"][..] } else { &[] };
    let tags: Vec<&str> =
        component.tags.iter().map(String::as_str).chain(of_static.iter().copied()).collect();
    tags.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_get_the_version_and_static_its_flags() {
        let text = r#"
            version = "1.2.3"
            license = "MIT"
            source = "example.org/x"
            static = true
            tags = ["seccomp"]
            stamp = { "main.version" = "v{version}" }
            programs = { x = { package = "." } }
        "#;
        let component: Component = toml::from_str(text).unwrap();
        assert_eq!(linker_flags(&component), "-s -w -buildid= -X main.version=v1.2.3 -extldflags -static");
        assert_eq!(tags(&component), "seccomp,netgo,osusergo");
        assert!(component.shipped);
    }

    #[test]
    fn another_compiler_is_refused() {
        assert!(check_compiler("go version go1.26.8 linux/amd64", "1.26.8").is_ok());
        assert!(check_compiler("go version go1.26.80 linux/amd64", "1.26.8").is_err());
        assert!(check_compiler("", "1.26.8").unwrap_err().to_string().contains("not installed"));
    }
}
