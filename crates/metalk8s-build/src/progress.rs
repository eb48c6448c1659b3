//! What people see while tasks run: a marker per task on stdout, bars with an estimate on stderr.
//!
//! Markers are doit's: `.` executed, `--` up to date, `!!` ignored. Without a terminal there are no bars.

use std::{
    collections::BTreeMap,
    io::{IsTerminal, Write, stderr, stdout},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Shows what happens.
pub struct Progress {
    bars: Option<Bars>,
    quiet: bool,
    jobs: u64,
}

struct Bars {
    multi: MultiProgress,
    overall: ProgressBar,
    /// Estimates of the tasks that ended, in seconds.
    finished: AtomicU64,
    running: Mutex<BTreeMap<String, (ProgressBar, Instant, u64)>>,
}

impl Progress {
    /// Starts. `total` is the sum of the estimates in seconds; `quiet` leaves stdout to others.
    pub fn start(total: u64, jobs: usize, quiet: bool) -> Self {
        let jobs = jobs.max(1) as u64;
        let bars = (total > 0 && stderr().is_terminal()).then(|| Bars::new(total));
        Self { bars, quiet, jobs }
    }

    /// A task was found up to date.
    pub fn up_to_date(&self, task: &str) {
        self.line("--", task);
    }

    /// A task is carried out now.
    pub fn started(&self, task: &str, estimate: u64) {
        self.line(". ", task);
        if let Some(bars) = &self.bars {
            bars.start(task, estimate);
            bars.update(self.jobs);
        }
    }

    /// A task could not do anything.
    pub fn ignored(&self, task: &str, why: &str) {
        self.line("!!", &format!("{task} ({why})"));
    }

    /// A task ended, well or not.
    pub fn ended(&self, task: &str, estimate: u64) {
        if let Some(bars) = &self.bars {
            bars.end(task, estimate);
            bars.update(self.jobs);
        }
    }

    /// Called a few times each second.
    pub fn tick(&self) {
        if let Some(bars) = &self.bars {
            bars.update(self.jobs);
        }
    }

    /// Something that must be seen.
    pub fn warn(&self, words: &str) {
        self.write(&mut stderr(), &format!("warning: {words}"));
    }

    /// Removes the bars.
    pub fn finish(&self) {
        if let Some(bars) = &self.bars {
            bars.overall.finish_and_clear();
        }
    }

    fn line(&self, marker: &str, words: &str) {
        if !self.quiet {
            self.write(&mut stdout(), &format!("{marker} {words}"));
        }
    }

    fn write(&self, out: &mut dyn Write, line: &str) {
        // A closed pipe is the reader's wish.
        let mut print = || drop(writeln!(out, "{line}").and_then(|()| out.flush()));
        match &self.bars {
            Some(bars) => bars.multi.suspend(print),
            None => print(),
        }
    }
}

impl Bars {
    fn new(total: u64) -> Self {
        let multi = MultiProgress::new();
        let overall = multi.add(ProgressBar::new(total));
        let style = ProgressStyle::with_template("   {bar:40} {percent:>3} %  {elapsed}  {msg}");
        overall.set_style(style.expect("the template is right"));
        Self { multi, overall, finished: AtomicU64::new(0), running: Mutex::default() }
    }

    fn start(&self, task: &str, estimate: u64) {
        let bar = self.multi.insert_before(&self.overall, ProgressBar::new_spinner());
        bar.set_style(ProgressStyle::with_template("   {spinner} {msg}").expect("the template is right"));
        bar.set_message(task.to_owned());
        let mut running = self.running.lock().expect("nobody panics while holding it");
        running.insert(task.to_owned(), (bar, Instant::now(), estimate));
    }

    fn end(&self, task: &str, estimate: u64) {
        let ended = self.running.lock().expect("nobody panics while holding it").remove(task);
        if let Some((bar, ..)) = ended {
            bar.finish_and_clear();
            self.multi.remove(&bar);
        }
        self.finished.fetch_add(estimate, Ordering::Relaxed);
    }

    fn update(&self, jobs: u64) {
        let running = self.running.lock().expect("nobody panics while holding it");
        for (task, (bar, since, estimate)) in &*running {
            bar.set_message(format!("{task}  {} of about {} s", since.elapsed().as_secs(), estimate));
            bar.tick();
        }
        let begun: u64 =
            running.values().map(|(_, since, estimate)| since.elapsed().as_secs().min(*estimate)).sum();
        self.overall.set_position(self.finished.load(Ordering::Relaxed) + begun);
        let left = self.overall.length().unwrap_or(0).saturating_sub(self.overall.position()) / jobs;
        self.overall.set_message(format!("about {} left", spoken(left)));
    }
}

/// Seconds as people say them.
pub fn spoken(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}
