//! Steps in the manual's form: `> <step>... done [<n>s]` and ` fail [<n>s]`.

use std::{
    io::{self, IsTerminal, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{LogFile, Paint, colours_wanted};

/// How steps are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgressMode {
    /// A turning line for each running step, on a terminal.
    Terminal,
    /// Plain lines.
    Plain,
    /// Plain lines, each complete, because other output comes between them.
    Verbose,
    /// Nothing but failures.
    Quiet,
}

/// Shows the steps of a run, and keeps them in the log.
#[derive(Clone)]
pub struct Progress {
    shared: Arc<Shared>,
}

/// A step that is going on. Dropped without an end, it counts as failed.
pub struct RunningStep {
    shared: Arc<Shared>,
    name: String,
    started: Instant,
    bar: Option<ProgressBar>,
    ended: bool,
}

struct Shared {
    mode: ProgressMode,
    paint: Paint,
    bars: MultiProgress,
    lines: Mutex<Lines>,
}

struct Lines {
    out: Box<dyn Write + Send>,
    log: Option<LogFile>,
    /// The step whose line is begun and not ended, in plain mode.
    open: Option<String>,
}

impl ProgressMode {
    /// The mode for stderr: quiet or verbose when asked, else turning lines on a terminal, and plain ones where
    /// there is none or `no_progress` asks for them. `NO_COLOR` takes the colours away, not the lines.
    pub fn choose(quiet: bool, verbose: bool, no_progress: bool) -> Self {
        match (quiet, verbose) {
            (true, _) => Self::Quiet,
            (false, true) => Self::Verbose,
            (false, false) if no_progress || !io::stderr().is_terminal() => Self::Plain,
            (false, false) => Self::Terminal,
        }
    }
}

impl Progress {
    /// Shows steps on stderr and appends their lines to `log`.
    pub fn new(mode: ProgressMode, log: Option<LogFile>) -> Self {
        let paint = Paint::new(colours_wanted(&io::stderr()));
        Self::with(mode, paint, io::stderr(), log)
    }

    /// Shows steps as lines on another stream, without colours.
    pub fn to(mode: ProgressMode, out: impl Write + Send + 'static) -> Self {
        Self::with(mode, Paint::default(), out, None)
    }

    fn with(
        mode: ProgressMode,
        paint: Paint,
        out: impl Write + Send + 'static,
        log: Option<LogFile>,
    ) -> Self {
        let target = if mode == ProgressMode::Terminal {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let lines = Mutex::new(Lines { out: Box::new(out), log, open: None });
        let bars = MultiProgress::with_draw_target(target);
        Self { shared: Arc::new(Shared { mode, paint, bars, lines }) }
    }

    /// Begins a step.
    pub fn step(&self, name: impl Into<String>) -> RunningStep {
        let name = name.into();
        let bar = self.shared.begin(&name);
        RunningStep { shared: Arc::clone(&self.shared), name, started: Instant::now(), bar, ended: false }
    }

    /// Prints a line between the steps.
    pub fn say(&self, line: &str) {
        if self.shared.mode != ProgressMode::Quiet {
            self.shared.print(line);
        }
    }
}

impl RunningStep {
    /// What it is doing now, shown on a terminal only.
    pub fn note(&self, note: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{}... {note}", self.name));
        }
    }

    /// Ends it well.
    pub fn done(mut self) {
        self.end(true, None);
    }

    /// Ends it badly, with the output of what failed, which is shown between the manual's marks.
    pub fn fail(mut self, output: Option<&str>) {
        self.end(false, output);
    }

    fn end(&mut self, well: bool, output: Option<&str>) {
        self.ended = true;
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
            self.shared.bars.remove(bar);
        }
        self.shared.end(&self.name, well, self.started.elapsed());
        if let Some(output) = output {
            self.shared.print(&format!("<< BEGIN >>\n{}\n<< END >>", output.trim_end()));
        }
    }
}

impl Drop for RunningStep {
    fn drop(&mut self) {
        if !self.ended {
            self.end(false, None);
        }
    }
}

impl Shared {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, name: &str) -> Option<ProgressBar> {
        match self.mode {
            ProgressMode::Quiet => None,
            ProgressMode::Terminal => {
                let bar = self.bars.add(ProgressBar::new_spinner());
                let style = ProgressStyle::with_template("> {msg} {spinner} [{elapsed}]")
                    .expect("the template is a constant");
                bar.set_style(style);
                bar.set_message(format!("{name}..."));
                bar.enable_steady_tick(Duration::from_millis(120));
                Some(bar)
            }
            ProgressMode::Plain => {
                let mut lines = self.lines();
                if lines.open.is_none() {
                    lines.write(&format!("> {name}..."));
                    lines.open = Some(name.to_owned());
                }
                None
            }
            ProgressMode::Verbose => {
                self.lines().write(&format!("> {name}...\n"));
                None
            }
        }
    }

    fn end(&self, name: &str, well: bool, elapsed: Duration) {
        let word = if well { "done" } else { "fail" };
        let seconds = elapsed.as_secs();
        let painted = if well { self.paint.green(word) } else { self.paint.red(word) };
        let mut lines = self.lines();
        lines.record(&format!("> {name}... {word} [{seconds}s]\n"));
        let line = format!("> {name}... {painted} [{seconds}s]");
        match self.mode {
            ProgressMode::Quiet if well => {}
            ProgressMode::Terminal => self.bars.suspend(|| lines.write(&format!("{line}\n"))),
            ProgressMode::Plain if lines.open.as_deref() == Some(name) => {
                lines.open = None;
                lines.write(&format!(" {painted} [{seconds}s]\n"));
            }
            ProgressMode::Quiet | ProgressMode::Plain | ProgressMode::Verbose => {
                lines.close();
                lines.write(&format!("{line}\n"));
            }
        }
    }

    fn print(&self, text: &str) {
        let mut lines = self.lines();
        lines.record(&format!("{text}\n"));
        lines.close();
        self.bars.suspend(|| lines.write(&format!("{text}\n")));
    }
}

impl Lines {
    /// A stream that went away does not stop a run.
    fn write(&mut self, text: &str) {
        drop(self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()));
    }

    fn record(&mut self, line: &str) {
        if let Some(log) = &mut self.log {
            drop(log.write_all(line.as_bytes()));
        }
    }

    /// Ends a line that was begun, because another one comes.
    fn close(&mut self) {
        if self.open.take().is_some() {
            self.write("\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    use super::{Progress, ProgressMode};

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn check(mode: ProgressMode, run: impl FnOnce(&Progress), expect: &str) {
        let page = Page::default();
        run(&Progress::to(mode, page.clone()));
        assert_eq!(String::from_utf8(page.0.lock().unwrap().clone()).unwrap(), expect);
    }

    #[test]
    fn a_step_is_one_line_in_the_manuals_form() {
        check(
            ProgressMode::Plain,
            |progress| {
                progress.step("Checking the host").done();
                progress.step("Installing packages").fail(Some("apt-get\nno such package\n"));
            },
            "> Checking the host... done [0s]\n> Installing packages... fail [0s]\n\
             << BEGIN >>\napt-get\nno such package\n<< END >>\n",
        );
    }

    #[test]
    fn steps_at_the_same_time_end_on_lines_of_their_own() {
        check(
            ProgressMode::Plain,
            |progress| {
                let first = progress.step("a");
                let second = progress.step("b");
                second.done();
                first.done();
            },
            "> a...\n> b... done [0s]\n> a... done [0s]\n",
        );
    }

    #[test]
    fn a_step_that_is_dropped_has_failed() {
        check(ProgressMode::Verbose, |progress| drop(progress.step("a")), "> a...\n> a... fail [0s]\n");
    }

    #[test]
    fn quiet_shows_failures_only() {
        check(
            ProgressMode::Quiet,
            |progress| {
                progress.step("a").done();
                progress.step("b").fail(None);
            },
            "> b... fail [0s]\n",
        );
    }

    #[test]
    fn the_log_keeps_complete_lines() {
        let folder = tempfile::tempdir().unwrap();
        let log = crate::LogFile::open(folder.path().join("log")).unwrap();
        let progress =
            Progress::with(ProgressMode::Quiet, crate::Paint::default(), io::sink(), Some(log.clone()));
        progress.step("a").done();
        assert_eq!(std::fs::read_to_string(log.path()).unwrap(), "> a... done [0s]\n");
    }
}
