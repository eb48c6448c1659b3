//! The book: `docs/`, rendered into HTML by mdBook, with the same bytes wherever that is done.
//!
//! A page that the table of contents does not lead to, and a link that leads nowhere, are errors.

mod links;
pub mod live;

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use mdbook_driver::{MDBook, book::BookItem, config::Config};
use walkdir::WalkDir;

use crate::{
    context::Context,
    populate,
    task::{Kind, Outcome, Step, Task},
};

/// Name of the task that renders it into the store.
pub const TASK: &str = "_book";
/// Name of the task that puts it below the build root, where people read it.
pub const DOCUMENTATION: &str = "documentation";
/// Where the sources are, below the root of the repository.
pub const SOURCES: &str = "docs";
const RECIPE: &str = concat!(include_str!("book.rs"), include_str!("book/links.rs"));
const CONTENTS: &str = "SUMMARY.md";

/// What mdBook copies or makes although no reader needs it.
const LEFT_OUT: [&str; 3] = ["book.toml", "theme", ".nojekyll"];

/// The rendering task, the documented one with its short name, and the one that serves.
pub fn tasks(ctx: &Context) -> Vec<Task> {
    let render = Task::stored(TASK, "render docs/ into HTML", |step| {
        render(&step.ctx.root.join(SOURCES), step.out)?;
        Ok(Outcome::Done)
    });
    // The lock file stands for mdBook and all that it renders with.
    let files = [SOURCES, "Cargo.lock"].map(|name| ctx.root.join(name)).to_vec();
    let render = Task { files, facts: vec![RECIPE.to_owned()], guess: 2, ..render };
    let targets = vec![placed(ctx), index(ctx)];
    let place = Task::new(DOCUMENTATION, "render the book, docs/", Kind::Placed(targets, Box::new(place)));
    let place = Task { tasks: vec![TASK.to_owned()], facts: vec![RECIPE.to_owned()], ..place };
    let about = "the same as documentation";
    vec![render, place, Task::group("doc", about, vec![DOCUMENTATION.to_owned()]), live::task()]
}

/// The first page below the build root.
pub fn index(ctx: &Context) -> PathBuf {
    placed(ctx).join("index.html")
}

fn placed(ctx: &Context) -> PathBuf {
    ctx.build_root.join(SOURCES)
}

fn place(step: &Step<'_>) -> anyhow::Result<Outcome> {
    let folder = placed(step.ctx);
    remove(&folder)?;
    populate::copy_tree(step.input(TASK)?, &folder)?;
    Ok(Outcome::Done)
}

/// Renders the book in the folder `docs` into the folder `out`, and checks it.
pub fn render(docs: &Path, out: &Path) -> anyhow::Result<()> {
    let loaded = || -> anyhow::Result<MDBook> {
        // Unlike `MDBook::load`, this lets no variable of the environment reach the result.
        let mut config = Config::from_disk(docs.join("book.toml"))?;
        config.build.build_dir = out.to_owned();
        MDBook::load_with_config(docs, config)
    };
    let book = loaded().with_context(|| format!("could not read the book in `{}`", docs.display()))?;
    let mut problems = unreachable(docs, &book)?;
    book.build().context("could not render the book")?;
    for name in LEFT_OUT {
        remove(&out.join(name))?;
    }
    problems.extend(links::broken(out).context("could not look at the links of the book")?);
    if problems.is_empty() {
        return Ok(());
    }
    bail!("the book has mistakes:\n{}", problems.join("\n"))
}

/// Pages that the table of contents does not lead to.
fn unreachable(docs: &Path, book: &MDBook) -> anyhow::Result<Vec<String>> {
    let reached: BTreeSet<&Path> = book
        .iter()
        .filter_map(|item| match item {
            BookItem::Chapter(chapter) => chapter.source_path.as_deref(),
            _ => None,
        })
        .collect();
    let mut left = Vec::new();
    for entry in WalkDir::new(docs).sort_by_file_name() {
        let entry = entry.context("could not walk the book")?;
        let page = entry.path().strip_prefix(docs)?;
        let is_page = page.extension().is_some_and(|extension| extension == "md");
        if is_page && page != Path::new(CONTENTS) && !reached.contains(page) {
            left.push(format!("{CONTENTS} does not lead to {}", page.display()));
        }
    }
    Ok(left)
}

fn remove(path: &Path) -> anyhow::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(err) if err.kind() != io::ErrorKind::NotFound => {
            Err(err).with_context(|| format!("could not remove `{}`", path.display()))
        }
        _ => Ok(()),
    }
}
