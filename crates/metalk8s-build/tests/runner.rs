//! The runner, with small tasks in the place of compilers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use anyhow::bail;
use metalk8s_build::{
    Context, Outcome, Task,
    runner::{How, Runner, Tasks},
    settings::Settings,
    store::Store,
    task::Kind,
    versions::Versions,
};

struct Bench {
    folder: tempfile::TempDir,
    /// What was carried out, in order.
    done: Arc<Mutex<Vec<String>>>,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), done: Arc::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn context(&self) -> Context {
        let versions = "[product]\nname = 'MetalK8s'\nversion = '1.0.0'\n[go]\nversion = '1'\n[components]\n";
        Context {
            root: self.folder.path().to_owned(),
            build_root: self.path("_build"),
            cache: self.path("cache"),
            versions: toml::from_str::<Versions>(versions).unwrap(),
            settings: Settings::default(),
            epoch: 0,
            git: String::new(),
        }
    }

    /// A task that joins the results of others and the text of its file.
    fn task(&self, name: &str, needs: &[&str], file: Option<&str>) -> Task {
        let (done, own, needed) = (self.done.clone(), name.to_owned(), names(needs));
        let read = file.map(|file| self.path(file));
        let task = Task::stored(name, "", move |step| {
            done.lock().unwrap().push(own.clone());
            let mut text = read.as_ref().map(|path| fs::read_to_string(path).unwrap()).unwrap_or_default();
            for name in &needed {
                text.push_str(&fs::read_to_string(step.input(name)?.join("text"))?);
            }
            fs::write(step.out.join("text"), text)?;
            Ok(Outcome::Done)
        });
        Task { tasks: names(needs), files: file.map(|file| self.path(file)).into_iter().collect(), ..task }
    }

    fn run(&self, tasks: Vec<Task>, wanted: &str) -> anyhow::Result<Vec<(String, How)>> {
        let tasks: Tasks = tasks.into_iter().map(|task| (task.name.clone(), task)).collect();
        let ctx = self.context();
        let store = Store::open(&ctx.cache)?;
        let runner = Runner { ctx: &ctx, tasks: &tasks, store: &|_| store.clone(), jobs: 3, quiet: true };
        let ended = runner.run(&[wanted.to_owned()])?;
        Ok(ended.into_iter().map(|ended| (ended.name, ended.how)).collect())
    }

    fn done(&self) -> Vec<String> {
        std::mem::take(&mut self.done.lock().unwrap())
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn chain(bench: &Bench) -> Vec<Task> {
    vec![
        bench.task("iso", &["images", "program"], None),
        bench.task("images", &["program"], Some("b")),
        bench.task("program", &[], Some("a")),
    ]
}

#[test]
fn tasks_run_after_what_they_need_and_only_once() {
    let bench = Bench::new();
    bench.write("a", "A");
    bench.write("b", "B");
    bench.run(chain(&bench), "iso").unwrap();
    assert_eq!(bench.done(), ["program", "images", "iso"]);
    let again = bench.run(chain(&bench), "iso").unwrap();
    assert_eq!(bench.done(), [""; 0]);
    assert!(again.iter().all(|(_, how)| *how == How::UpToDate));
}

#[test]
fn a_changed_file_is_built_again_with_all_that_stands_on_it_and_nothing_else() {
    let bench = Bench::new();
    bench.write("a", "A");
    bench.write("b", "B");
    bench.run(chain(&bench), "iso").unwrap();
    bench.done();
    bench.write("b", "C");
    bench.run(chain(&bench), "iso").unwrap();
    assert_eq!(bench.done(), ["images", "iso"]);
    bench.write("b", "B");
    bench.run(chain(&bench), "iso").unwrap();
    assert_eq!(bench.done(), [""; 0], "the former result is still in the store");
}

#[test]
fn what_nothing_needs_is_not_made_again() {
    let bench = Bench::new();
    bench.write("a", "A");
    bench.write("b", "B");
    bench.run(chain(&bench), "iso").unwrap();
    bench.done();
    let tasks: Tasks = chain(&bench).into_iter().map(|task| (task.name.clone(), task)).collect();
    let ctx = bench.context();
    let store = Store::open(&ctx.cache).unwrap();
    let runner = Runner { ctx: &ctx, tasks: &tasks, store: &|_| store.clone(), jobs: 1, quiet: true };
    let keys = runner.keys(&names(&["iso"])).unwrap();
    fs::remove_dir_all(Store::path(&ctx.cache, &keys["program"])).unwrap();
    bench.run(chain(&bench), "iso").unwrap();
    assert_eq!(bench.done(), [""; 0]);
}

#[test]
fn a_failure_is_told_and_leaves_nothing_behind() {
    let bench = Bench::new();
    let broken = || {
        Task::stored("program", "", |step| {
            fs::write(step.out.join("half"), "")?;
            bail!("the compiler said no")
        })
    };
    let tasks = || vec![bench.task("iso", &["program"], None), broken()];
    for _ in 0..2 {
        let ended = bench.run(tasks(), "iso").unwrap();
        assert_eq!(ended, [("program".to_owned(), How::Failed("the compiler said no".to_owned()))]);
        assert_eq!(bench.done(), [""; 0]);
    }
}

#[test]
fn an_ignored_task_is_tried_again_and_what_stands_on_it_too() {
    let bench = Bench::new();
    let target = bench.path("placed");
    let tasks = || {
        let ignored = Task::stored("packaging", "", |_| Ok(Outcome::Ignored("nothing there".to_owned())));
        let (done, path) = (bench.done.clone(), target.clone());
        let action = move |step: &metalk8s_build::Step<'_>| {
            assert!(step.input("packaging").is_err());
            done.lock().unwrap().push("populate".to_owned());
            fs::write(&path, "x")?;
            Ok(Outcome::Done)
        };
        let placed = Task::new("populate", "", Kind::Placed(vec![target.clone()], Box::new(action)));
        vec![ignored, Task { tasks: names(&["packaging"]), ..placed }]
    };
    for _ in 0..2 {
        let ended = bench.run(tasks(), "populate").unwrap();
        assert_eq!(ended[0].1, How::Ignored("nothing there".to_owned()));
        assert_eq!(bench.done(), ["populate"]);
    }
}

#[test]
fn a_target_that_was_removed_or_changed_is_made_again() {
    let bench = Bench::new();
    let target = bench.path("placed");
    let tasks = || {
        let (done, path) = (bench.done.clone(), target.clone());
        let action = move |_: &metalk8s_build::Step<'_>| {
            done.lock().unwrap().push("iso".to_owned());
            fs::write(&path, "result")?;
            Ok(Outcome::Done)
        };
        vec![Task::new("iso", "", Kind::Placed(vec![target.clone()], Box::new(action)))]
    };
    let runs = |change: &dyn Fn(&Path)| {
        change(&target);
        bench.run(tasks(), "iso").unwrap();
        bench.done().len()
    };
    assert_eq!(runs(&|_| ()), 1);
    assert_eq!(runs(&|_| ()), 0);
    assert_eq!(runs(&|target| fs::remove_file(target).unwrap()), 1);
    assert_eq!(runs(&|target| fs::write(target, "another length").unwrap()), 1);
}

#[test]
fn the_members_of_a_group_reach_the_task_that_needs_the_group() {
    let bench = Bench::new();
    bench.write("a", "A");
    let group = Task::group("images", "", names(&["images:one"]));
    let reader = Task::stored("iso", "", |step| {
        assert_eq!(fs::read_to_string(step.input("images:one")?.join("text"))?, "A");
        Ok(Outcome::Done)
    });
    let tasks =
        vec![group, bench.task("images:one", &[], Some("a")), Task { tasks: names(&["images"]), ..reader }];
    let ended = bench.run(tasks, "iso").unwrap();
    assert!(ended.iter().all(|(_, how)| *how == How::Executed), "{ended:?}");
}

#[test]
fn unknown_tasks_and_loops_are_named() {
    let bench = Bench::new();
    let error = bench.run(vec![], "iso").unwrap_err().to_string();
    assert!(error.contains("no task `iso`"), "{error}");
    let tasks = vec![bench.task("a", &["b"], None), bench.task("b", &["a"], None)];
    let error = bench.run(tasks, "a").unwrap_err().to_string();
    assert!(error.contains("a -> b -> a"), "{error}");
}
