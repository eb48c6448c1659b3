//! The command line of the build chain, as `./doit.sh` passes it on.

use std::{
    env,
    ffi::OsString,
    io::{self, Write, stderr, stdout},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::{
    book, chain, completion,
    context::Context,
    graph, housekeeping, iso,
    progress::spoken,
    reproduce::reproduce,
    runner::{Ended, How, Runner},
    store::Store,
    vagrant,
};

/// Builds MetalK8s from source. Without a command it makes the ISO.
#[derive(Debug, Parser)]
#[command(name = "doit.sh", bin_name = "doit.sh", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Carry out tasks: `./doit.sh TASK...` is short for `./doit.sh run TASK...`.
    Run(RunArgs),
    /// Show the tasks with a description.
    List {
        /// Show subtasks too.
        #[arg(long)]
        all: bool,
        /// Show hidden tasks too.
        #[arg(short, long)]
        private: bool,
    },
    /// Show all about a task.
    Info {
        /// Its name.
        task: String,
    },
    /// Remove the build root, or only what some tasks made.
    Clean {
        /// Only say what would be removed.
        #[arg(short = 'n', long)]
        dry_run: bool,
        /// The tasks.
        tasks: Vec<String>,
    },
    /// Write the crates and their layers into ARCHITECTURE.md; fails when a crate reaches upward.
    Graph {
        /// Change nothing, fail when the page is not up to date.
        #[arg(long)]
        check: bool,
    },
    /// Build everything twice and compare the bytes.
    Reproduce {
        /// Compile twice as well, which takes as long as a first build.
        #[arg(long)]
        from_source: bool,
        /// How many tasks at once.
        #[arg(short = 'n', default_value_t = processors())]
        jobs: NonZeroUsize,
    },
    /// Print a completion script for a shell: commands, options, and the names of tasks.
    Tabcompletion {
        /// The shell.
        #[arg(short, long, value_enum, default_value_t = Shell::Bash)]
        shell: Shell,
    },
}

#[derive(Debug, Args)]
struct RunArgs {
    /// How many tasks at once.
    #[arg(short = 'n', value_name = "N", default_value_t = processors())]
    jobs: NonZeroUsize,
    /// How to tell what was done.
    #[arg(long, short, value_enum, default_value_t = Reporter::Console)]
    reporter: Reporter,
    /// Names of tasks; `*` stands for any part of a name.
    #[arg(default_value = iso::TASK)]
    tasks: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Reporter {
    /// A line per task as it starts.
    Console,
    /// One JSON document at the end.
    Json,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
}

fn processors() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse_from(with_run(env::args_os()));
    match carry_out(cli.command) {
        Ok(code) => code,
        Err(err) => {
            let mut stderr = stderr().lock();
            let _ = writeln!(stderr, "error: {err}");
            for cause in err.chain().skip(1) {
                let _ = writeln!(stderr, "  cause: {cause}");
            }
            ExitCode::FAILURE
        }
    }
}

/// `./doit.sh -n 4 iso` is `./doit.sh run -n 4 iso`: doit takes tasks and options without a command.
fn with_run(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut args: Vec<OsString> = args.collect();
    let first = args.get(1).and_then(|word| word.to_str()).unwrap_or("run-by-default");
    let commands: Vec<String> =
        Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let known = commands.iter().any(|command| command == first);
    if !known && !matches!(first, "-h" | "--help") {
        args.insert(1.min(args.len()), "run".into());
    }
    args
}

fn carry_out(command: Command) -> anyhow::Result<ExitCode> {
    let root = repository()?;
    if let Command::Graph { check } = command {
        return picture(&root, check);
    }
    let ctx = Context::find(&root)?;
    if let Command::Reproduce { from_source, jobs } = command {
        return compare(&ctx, jobs.get(), from_source);
    }
    let tasks = chain::tasks(&ctx)?;
    let shared = Store::open(&ctx.cache)?;
    let store = |_: &str| shared.clone();
    let runner = |jobs: usize, quiet| Runner { ctx: &ctx, tasks: &tasks, store: &store, jobs, quiet };
    let mut out = stdout().lock();
    match command {
        Command::List { all, private } => housekeeping::list(&tasks, all, private, &mut out)?,
        Command::Info { task } => housekeeping::info(&runner(1, true), &task, &mut out)?,
        Command::Clean { dry_run, tasks: words } => {
            let wanted = select(&tasks, &words)?;
            housekeeping::clean(&runner(1, true), &wanted, dry_run, &mut out)?;
        }
        Command::Run(args) => {
            drop(out);
            let wanted = select(&tasks, &args.tasks)?;
            let runner = runner(args.jobs.get(), args.reporter == Reporter::Json);
            let ended = runner.run(&wanted)?;
            let code = report(&ctx, &ended, args.reporter)?;
            housekeeping::tidy(&ctx, &runner)?;
            return Ok(code);
        }
        Command::Tabcompletion { shell } => {
            let script = match shell {
                Shell::Bash => completion::bash(&mut Cli::command(), &tasks),
                Shell::Zsh => completion::zsh(&mut Cli::command(), &tasks),
            };
            out.write_all(script.as_bytes())?;
        }
        Command::Graph { .. } | Command::Reproduce { .. } => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn select(tasks: &crate::runner::Tasks, words: &[String]) -> anyhow::Result<Vec<String>> {
    let mut wanted = Vec::new();
    for word in words {
        wanted.extend(chain::select(tasks, word)?);
    }
    Ok(wanted)
}

fn report(ctx: &Context, ended: &[Ended], reporter: Reporter) -> anyhow::Result<ExitCode> {
    let failed: Vec<(&str, &str)> = ended
        .iter()
        .filter_map(|task| match &task.how {
            How::Failed(why) => Some((task.name.as_str(), why.as_str())),
            How::UpToDate | How::Executed | How::Ignored(_) => None,
        })
        .collect();
    match reporter {
        Reporter::Json => {
            let mut out = stdout().lock();
            serde_json::to_writer_pretty(&mut out, &as_json(ended)).context("could not print the report")?;
            writeln!(out)?;
        }
        Reporter::Console => {
            let mut err = stderr().lock();
            for (name, why) in &failed {
                writeln!(err, "error: the task `{name}` failed\n  cause: {why}")?;
            }
            let is_done = |name: &str| failed.is_empty() && ended.iter().any(|task| task.name == name);
            if is_done(iso::TASK) {
                say_iso(ctx, &mut err)?;
            }
            if is_done(book::DOCUMENTATION) {
                writeln!(err, "the book is `{}`", book::index(ctx).display())?;
            }
            if is_done(vagrant::UP) {
                writeln!(err, "the machine runs: `./lab status`, `./lab ssh bootstrap`, `./lab down`")?;
            }
        }
    }
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn say_iso(ctx: &Context, out: &mut dyn Write) -> io::Result<()> {
    let iso = ctx.build_root.join(iso::FILE);
    let Ok(found) = iso.metadata() else { return Ok(()) };
    writeln!(out, "the ISO is `{}`, {} MiB", iso.display(), found.len() >> 20)
}

/// doit's shape: one entry per task with its result and seconds.
fn as_json(ended: &[Ended]) -> serde_json::Value {
    let entries = ended.iter().map(|task| {
        let (result, error) = match &task.how {
            How::UpToDate => ("up-to-date", None),
            How::Executed => ("success", None),
            How::Ignored(why) => ("ignore", Some(why)),
            How::Failed(why) => ("fail", Some(why)),
        };
        serde_json::json!({
            "name": task.name,
            "result": result,
            "error": error,
            "elapsed": task.took.as_secs_f64(),
        })
    });
    serde_json::json!({ "tasks": entries.collect::<Vec<_>>() })
}

fn compare(ctx: &Context, jobs: usize, from_source: bool) -> anyhow::Result<ExitCode> {
    let began = std::time::Instant::now();
    let different = reproduce(ctx, jobs, from_source)?;
    let mut out = stdout().lock();
    if different.is_empty() {
        writeln!(out, "two builds gave the same bytes, in {}", spoken(began.elapsed().as_secs()))?;
        return Ok(ExitCode::SUCCESS);
    }
    for difference in &different {
        writeln!(out, "differs: {}", difference.path.display())?;
    }
    bail!("two builds differ in {} files", different.len())
}

fn picture(root: &Path, check: bool) -> anyhow::Result<ExitCode> {
    let crates = graph::read(root)?;
    graph::check(&crates)?;
    let picture = graph::draw(&crates);
    let mut out = stdout().lock();
    if check {
        graph::is_current(root, &picture)?;
    } else if graph::write(root, &picture)? {
        writeln!(out, "{} was updated", graph::PAGE)?;
    } else {
        writeln!(out, "{} is up to date", graph::PAGE)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The folder at or above the current one that holds versions.toml.
fn repository() -> anyhow::Result<PathBuf> {
    let here = env::current_dir().context("there is no current folder")?;
    let found = here.ancestors().find(|folder| folder.join(crate::versions::FILE).is_file());
    found.map(Path::to_owned).with_context(|| format!("`{}` is not in a clone of MetalK8s", here.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_args(words: &[&str]) -> RunArgs {
        let args = ["doit.sh"].iter().chain(words).map(OsString::from);
        match Cli::try_parse_from(with_run(args)).unwrap().command {
            Command::Run(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn tasks_and_options_need_no_command() {
        assert_eq!(run_args(&[]).tasks, ["iso"]);
        assert_eq!(run_args(&["-n", "4"]).jobs.get(), 4);
        assert_eq!(run_args(&["images:etcd", "-n", "3"]).tasks, ["images:etcd"]);
        assert_eq!(run_args(&["--reporter", "json"]).reporter, Reporter::Json);
        assert_eq!(run_args(&["_build:*/x"]).tasks, ["_build:*/x"]);
    }

    #[test]
    fn commands_stay_commands() {
        let args = ["doit.sh", "clean", "-n", "images"].iter().map(OsString::from);
        let cli = Cli::try_parse_from(with_run(args)).unwrap();
        assert!(matches!(cli.command, Command::Clean { dry_run: true, .. }));
    }
}
