//! `livedoc`: the book, served while somebody writes it (BUILD-04).
//!
//! A change in `docs/` is rendered at once, and pages that are open load themselves again. A book with mistakes is
//! told, and the last good one stays.

use std::{
    convert::Infallible,
    env, fs,
    io::{self, Write, stderr},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use axum::{
    Router,
    extract::State,
    response::sse::{Event, KeepAlive, Sse},
    routing::get,
};
use futures::{Stream, stream};
use tokio::{sync::watch, time::sleep};
use tower_http::services::ServeDir;
use walkdir::WalkDir;

use super::{SOURCES, remove, render};
use crate::{
    settings::Settings,
    task::{Kind, Outcome, Step, Task},
};

/// Name of the task.
pub const TASK: &str = "livedoc";
/// The setting that names where it listens.
const ADDRESS: &str = "LIVEDOC_ADDRESS";
/// For this computer alone; a book that somebody writes is not for everybody.
const DEFAULT_ADDRESS: &str = "127.0.0.1:8000";
/// How often the sources are looked at.
const PAUSE: Duration = Duration::from_millis(200);
/// Where a page learns that the book has changed. No file of a book begins with a dot.
const CHANGES: &str = "/.changes";
/// What each page gets at its end: the first word tells the edition, a later one that there is a newer.
const SCRIPT: &str = r#"<script>
{
    let edition;
    new EventSource("/.changes").onmessage = (event) => {
        if (edition !== undefined && edition !== event.data) location.reload();
        edition = event.data;
    };
}
</script>
"#;

/// The task.
pub fn task() -> Task {
    Task::new(TASK, "serve the book while it is written, until Ctrl-C", Kind::Always(Box::new(run)))
}

fn run(step: &Step<'_>) -> anyhow::Result<Outcome> {
    let address = address(env::var(ADDRESS).ok(), &step.ctx.settings)?;
    let listener = TcpListener::bind(address).with_context(|| {
        format!("could not listen on {address}; `{ADDRESS}=ADDRESS:PORT` in front names another place")
    })?;
    let book = Live::render(&step.ctx.root.join(SOURCES), &step.ctx.build_root.join(TASK))?;
    // Nobody can do anything about a terminal that is gone.
    let say = |text: &str| drop(writeln!(stderr(), "{text}"));
    say(&format!("the book is http://{}/, until Ctrl-C", listener.local_addr()?));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        tokio::select! {
            ended = serve(listener, book, say) => ended,
            ended = tokio::signal::ctrl_c() => ended.context("could not wait for Ctrl-C"),
        }
    })?;
    Ok(Outcome::Done)
}

/// Where the environment, or else `.env`, wants it.
fn address(environment: Option<String>, settings: &Settings) -> anyhow::Result<SocketAddr> {
    let value = environment.unwrap_or_else(|| settings.get(ADDRESS, DEFAULT_ADDRESS).to_owned());
    value.parse().with_context(|| format!("{ADDRESS} is `{value}`, which is no ADDRESS:PORT"))
}

/// What changes when a file is written: its name, its time, its size.
type Sources = Vec<(PathBuf, SystemTime, u64)>;

/// A rendered book, and the state of the sources that it was made from.
#[derive(Debug)]
pub struct Live {
    docs: PathBuf,
    out: PathBuf,
    rendered: Sources,
    last: Sources,
}

impl Live {
    /// Renders the book in the folder `docs` into the folder `out`, whose former content goes.
    pub fn render(docs: &Path, out: &Path) -> anyhow::Result<Self> {
        let found = look(docs)?;
        let book = Self { docs: docs.to_owned(), out: out.to_owned(), rendered: found.clone(), last: found };
        book.again()?;
        Ok(book)
    }

    /// Renders it again when a source has changed, and was the same twice since: one that is being written is not read.
    ///
    /// `None` means that there was nothing to do. A mistake leaves the former rendering.
    pub fn refresh(&mut self) -> Option<anyhow::Result<()>> {
        let found = match look(&self.docs) {
            Ok(found) => found,
            Err(error) => return Some(Err(error)),
        };
        let is_still = std::mem::replace(&mut self.last, found.clone()) == found;
        if !is_still || found == self.rendered {
            return None;
        }
        self.rendered = found;
        Some(self.again())
    }

    fn again(&self) -> anyhow::Result<()> {
        let fresh = self.out.with_extension("new");
        remove(&fresh)?;
        render(&self.docs, &fresh)?;
        for entry in WalkDir::new(&fresh) {
            let entry = entry.context("could not walk the rendered book")?;
            if entry.path().extension().is_some_and(|extension| extension == "html") {
                let page = fs::read_to_string(entry.path())?;
                fs::write(entry.path(), page.replace("</body>", &format!("{SCRIPT}</body>")))?;
            }
        }
        remove(&self.out)?;
        fs::rename(&fresh, &self.out)
            .with_context(|| format!("could not put the book to `{}`", self.out.display()))
    }
}

/// All files of a folder.
fn look(docs: &Path) -> anyhow::Result<Sources> {
    let mut seen = Vec::new();
    for entry in WalkDir::new(docs).sort_by_file_name() {
        let found = entry.map_err(io::Error::from).and_then(|entry| {
            let metadata = entry.metadata()?;
            Ok((entry.into_path(), metadata.modified()?, metadata.len()))
        });
        match found {
            Ok(found) => seen.push(found),
            // Editors put files aside while they write.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).context("could not look at the sources of the book"),
        }
    }
    Ok(seen)
}

/// Serves the book to whoever asks `listener`, and renders it again after each change, for ever.
pub async fn serve(listener: TcpListener, mut book: Live, say: impl Fn(&str)) -> anyhow::Result<()> {
    let (edition, changes) = watch::channel(0_u64);
    let app = Router::new()
        .route(CHANGES, get(told))
        .with_state(changes)
        .fallback_service(ServeDir::new(&book.out));
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let watched = async {
        loop {
            sleep(PAUSE).await;
            match book.refresh() {
                None => {}
                Some(Ok(())) => {
                    edition.send_modify(|edition| *edition += 1);
                    say("rendered again");
                }
                Some(Err(error)) => say(&format!("error: {error:#}")),
            }
        }
    };
    tokio::select! {
        ended = axum::serve(listener, app) => ended.context("could not serve the book"),
        never = watched => never,
    }
}

/// The edition now, and each later one, as server-sent events.
async fn told(
    State(changes): State<watch::Receiver<u64>>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    Sse::new(stream::unfold((changes, true), |(mut changes, is_first)| async move {
        if !is_first {
            changes.changed().await.ok()?;
        }
        let edition = *changes.borrow_and_update();
        Some((Ok(Event::default().data(edition.to_string())), (changes, false)))
    }))
    .keep_alive(KeepAlive::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_names_the_address_before_the_file_does() {
        let settings = Settings::parse("LIVEDOC_ADDRESS=127.0.0.1:9000").unwrap();
        let given = |environment: Option<&str>| address(environment.map(str::to_owned), &settings);
        assert_eq!(address(None, &Settings::default()).unwrap().to_string(), DEFAULT_ADDRESS);
        assert_eq!(given(None).unwrap().port(), 9000);
        assert_eq!(given(Some("[::1]:7000")).unwrap().port(), 7000);
        let error = given(Some("8000")).unwrap_err().to_string();
        assert!(error.contains("LIVEDOC_ADDRESS is `8000`"), "{error}");
    }
}
