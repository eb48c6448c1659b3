//! Carries tasks out: finds what is not up to date, and does that in parallel, in the order of dependencies.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{
        Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use metalk8s_diagnostics::Durations;

use crate::{
    command::Log,
    context::Context,
    progress::Progress,
    store::Store,
    task::{Kind, Outcome, Step, Task},
};

mod stamp;

/// All tasks by name.
pub type Tasks = BTreeMap<String, Task>;

/// Carries tasks out.
pub struct Runner<'a> {
    /// The surroundings.
    pub ctx: &'a Context,
    /// All tasks.
    pub tasks: &'a Tasks,
    /// Finds the store of a task.
    pub store: &'a (dyn Fn(&str) -> Store + Sync),
    /// How many at once.
    pub jobs: usize,
    /// Whether stdout is somebody else's.
    pub quiet: bool,
}

/// What became of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The task.
    pub name: String,
    /// How.
    pub how: How,
    /// How long it took.
    pub took: Duration,
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// There was nothing to do.
    UpToDate,
    /// It was carried out.
    Executed,
    /// It could do nothing, for this reason.
    Ignored(String),
    /// It failed, with the whole chain of causes.
    Failed(String),
}

/// The state of a run, shared by its threads.
struct State {
    waiting: BTreeSet<String>,
    running: BTreeSet<String>,
    ready: BTreeMap<String, PathBuf>,
    without_result: BTreeSet<String>,
    ended: Vec<Ended>,
    failed: bool,
}

struct Plan {
    /// Dependencies first.
    order: Vec<String>,
    keys: BTreeMap<String, String>,
    needed: BTreeSet<String>,
}

impl Runner<'_> {
    /// Carries out `wanted` and all that it needs. A failure is part of the result; what runs is finished.
    pub fn run(&self, wanted: &[String]) -> anyhow::Result<Vec<Ended>> {
        let plan = self.plan(wanted)?;
        let durations = Durations::read(self.ctx.cache.join("durations/build"));
        let estimate = |name: &str| durations.of(name, self.tasks[name].guess);
        let works =
            |name: &&String| plan.needed.contains(*name) && !matches!(self.tasks[*name].kind, Kind::Group);
        let total = plan.order.iter().filter(works).map(|name| estimate(name)).sum();
        let progress = Progress::start(total, self.jobs, self.quiet);
        let mut state = State {
            waiting: plan.needed.clone(),
            running: BTreeSet::new(),
            ready: BTreeMap::new(),
            without_result: BTreeSet::new(),
            ended: Vec::new(),
            failed: false,
        };
        for name in plan.order.iter().filter(|name| !plan.needed.contains(*name)) {
            state.ready.extend((self.store)(name).get(&plan.keys[name]).map(|path| (name.clone(), path)));
            if !matches!(self.tasks[name].kind, Kind::Group) {
                progress.up_to_date(name);
                state.ended.push(Ended { name: name.clone(), how: How::UpToDate, took: Duration::ZERO });
            }
        }
        let (state, changed) = (Mutex::new(state), Condvar::new());
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    progress.tick();
                    thread::park_timeout(Duration::from_millis(250));
                }
            });
            let workers: Vec<_> = (0..self.jobs.max(1))
                .map(|_| scope.spawn(|| self.work(&plan, &state, &changed, &progress, &durations)))
                .collect();
            let joined: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
            over.store(true, Ordering::Relaxed);
            joined.into_iter().try_for_each(|end| end.map_err(|_| anyhow::anyhow!("a task panicked")))
        })?;
        progress.finish();
        Ok(state.into_inner().expect("all threads ended well").ended)
    }

    /// Whether there is nothing to do for one task.
    pub fn is_up_to_date(&self, name: &str) -> anyhow::Result<bool> {
        Ok(!self.plan(&[name.to_owned()])?.needed.contains(name))
    }

    fn work(
        &self,
        plan: &Plan,
        state: &Mutex<State>,
        changed: &Condvar,
        progress: &Progress,
        durations: &Durations,
    ) {
        while let Some((name, inputs, whole)) = self.next(state, changed, durations) {
            let task = &self.tasks[&name];
            let guess = durations.of(&name, task.guess);
            let is_group = matches!(task.kind, Kind::Group);
            if !is_group {
                progress.started(&name, guess);
            }
            let began = Instant::now();
            let end = self.execute(task, &plan.keys[&name], &inputs, whole);
            let took = began.elapsed();
            progress.ended(&name, guess);
            let mut state = lock(state);
            state.running.remove(&name);
            let how = match end {
                Ok((Outcome::Ignored(why), _)) => {
                    progress.ignored(&name, &why);
                    state.without_result.insert(name.clone());
                    How::Ignored(why)
                }
                Ok((outcome, path)) => {
                    if let Outcome::Warned(words) = outcome {
                        progress.warn(&words);
                    }
                    if !is_group {
                        durations.remember(&name, took);
                    }
                    if !whole {
                        state.without_result.insert(name.clone());
                    }
                    state.ready.extend(path.map(|path| (name.clone(), path)));
                    How::Executed
                }
                Err(err) => {
                    state.failed = true;
                    How::Failed(format!("{err:#}"))
                }
            };
            if !is_group {
                state.ended.push(Ended { name, how, took });
            }
            changed.notify_all();
        }
    }

    /// The next task that can start, the longest first: its name, its inputs, and whether all of them are there.
    fn next(
        &self,
        state: &Mutex<State>,
        changed: &Condvar,
        durations: &Durations,
    ) -> Option<(String, BTreeMap<String, PathBuf>, bool)> {
        let mut state = lock(state);
        loop {
            if state.failed || state.waiting.is_empty() {
                changed.notify_all();
                return None;
            }
            let open = |name: &String| state.waiting.contains(name) || state.running.contains(name);
            let can_start = state.waiting.iter().filter(|name| !self.tasks[*name].tasks.iter().any(open));
            let name = can_start.max_by_key(|name| durations.of(name, self.tasks[*name].guess)).cloned();
            let Some(name) = name else {
                state = changed.wait(state).expect("nobody panics while holding it");
                continue;
            };
            state.waiting.remove(&name);
            state.running.insert(name.clone());
            let tasks = &self.tasks[&name].tasks;
            let inputs = self.flatten(tasks).into_iter();
            let inputs =
                inputs.filter_map(|task| Some((task.clone(), state.ready.get(&task)?.clone()))).collect();
            let whole = !tasks.iter().any(|task| state.without_result.contains(task));
            return Some((name, inputs, whole));
        }
    }

    /// The tasks, with groups replaced by what they collect.
    fn flatten(&self, tasks: &[String]) -> BTreeSet<String> {
        let mut flat = BTreeSet::new();
        for name in tasks {
            match &self.tasks[name] {
                Task { kind: Kind::Group, tasks, .. } => flat.extend(self.flatten(tasks)),
                _ => drop(flat.insert(name.clone())),
            }
        }
        flat
    }

    fn execute(
        &self,
        task: &Task,
        key: &str,
        inputs: &BTreeMap<String, PathBuf>,
        whole: bool,
    ) -> anyhow::Result<(Outcome, Option<PathBuf>)> {
        let log = || Log::create(&self.ctx.build_root.join("log"), &task.name);
        match &task.kind {
            Kind::Group => Ok((Outcome::Done, None)),
            Kind::Always(action) => {
                let out = &self.ctx.build_root;
                Ok((action(&Step { ctx: self.ctx, out, log: &log()?, inputs })?, None))
            }
            Kind::Placed(targets, action) => {
                stamp::remove(self.ctx, &task.name)?;
                let out = &self.ctx.build_root;
                let outcome = action(&Step { ctx: self.ctx, out, log: &log()?, inputs })?;
                if whole && outcome == Outcome::Done {
                    stamp::write(self.ctx, &task.name, key, targets)?;
                }
                Ok((outcome, None))
            }
            Kind::Stored(action) => {
                let store = (self.store)(&task.name);
                let Some(filling) = store.fill(key)? else {
                    return Ok((Outcome::Done, store.get(key)));
                };
                let outcome = action(&Step { ctx: self.ctx, out: filling.folder(), log: &log()?, inputs })?;
                let path = match &outcome {
                    Outcome::Ignored(_) => None,
                    _ => Some(filling.finish()?),
                };
                Ok((outcome, path))
            }
        }
    }

    fn plan(&self, wanted: &[String]) -> anyhow::Result<Plan> {
        let mut plan = Plan { order: Vec::new(), keys: BTreeMap::new(), needed: BTreeSet::new() };
        let mut path = Vec::new();
        for name in wanted {
            self.visit(name, &mut plan, &mut path)?;
        }
        // What nothing needs is not made again, even when the store lost it.
        let mut demanded: BTreeSet<String> = wanted.iter().cloned().collect();
        for name in plan.order.iter().rev() {
            if !demanded.contains(name) {
                continue;
            }
            let task = &self.tasks[name];
            let done = match &task.kind {
                Kind::Group | Kind::Always(_) => false,
                Kind::Stored(_) => (self.store)(name).get(&plan.keys[name]).is_some(),
                Kind::Placed(targets, _) => stamp::holds(self.ctx, name, &plan.keys[name], targets),
            };
            if !done {
                plan.needed.insert(name.clone());
                demanded.extend(task.tasks.iter().cloned());
            }
        }
        Ok(plan)
    }

    fn visit(&self, name: &str, plan: &mut Plan, path: &mut Vec<String>) -> anyhow::Result<()> {
        if plan.keys.contains_key(name) {
            return Ok(());
        }
        let Some(task) = self.tasks.get(name) else {
            bail!("there is no task `{name}`; `./doit.sh list --all` shows all");
        };
        if path.iter().any(|above| above == name) {
            bail!("tasks need each other: {} -> {name}", path.join(" -> "));
        }
        path.push(name.to_owned());
        for dependency in &task.tasks {
            self.visit(dependency, plan, path)?;
        }
        path.pop();
        let key =
            task.key(&self.ctx.root, &plan.keys).with_context(|| format!("the task `{name}` cannot run"))?;
        plan.keys.insert(name.to_owned(), key);
        plan.order.push(name.to_owned());
        Ok(())
    }

    /// The keys of everything that `wanted` consists of.
    pub fn keys(&self, wanted: &[String]) -> anyhow::Result<BTreeMap<String, String>> {
        Ok(self.plan(wanted)?.keys)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics while holding it")
}
