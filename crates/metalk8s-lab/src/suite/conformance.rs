//! The conformance tests of Kubernetes, as upstream wrote them, on a Bootstrap node and two workers.
//!
//! They run on the Bootstrap node, as its administrator, with images that are on every machine before: nothing is
//! pulled. What they need is gathered by `./doit.sh conformance`. A test that cannot be run is left out by
//! `tests/conformance/left-out.toml`, with the reason, and is told; one that skips itself has failed.
//!
//! Both planes are one network here. With two, NodePorts answer on the workload plane alone, and the tests ask for
//! them at the address by which the control plane knows a node.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use metalk8s_diagnostics::{Diagnosed, Printer};
use metalk8s_types::{Role, paths};

use super::{
    Check, Finding, Options, Stage, Suite, Tally,
    cluster::{kubectl_json, said, wait_for_pods, wait_settled},
    expand::{apply, deploy_node, node_manifest},
    run_checks,
};
use crate::{Lab, install, machine::quoted};

mod report;

use report::{LeftOut, Sum};

/// Run by `metalk8s-lab suite conformance`.
pub const SUITE: Suite = Suite {
    name: "conformance",
    about: "the conformance tests of Kubernetes pass; without --full, a part of them",
    run,
};

/// The workers: the Bootstrap node's taints keep pods of tests away, and tests want two nodes.
const WORKERS: [&str; 2] = ["node1", "node2"];
/// What `./doit.sh conformance` makes, below the build root.
const GATHERED: &str = "_build/conformance";
/// Where it goes on the machine.
const FOLDER: &str = "/root/conformance";
/// Tests that cannot be run, below the checkout.
const LEFT_OUT: &str = "tests/conformance/left-out.toml";
/// How many tests run beside each other. They wait nearly all of their time.
const BESIDE: &str = "8";
/// How long all of them may take.
const PATIENCE: Duration = Duration::from_secs(3 * 3600);
/// In the names of the tests.
const CONFORMANCE: &str = r"\[Conformance\]";
/// In the names of those that others would disturb, or that disturb others.
const ALONE: &str = r"\[Serial\]|\[Disruptive\]";
/// What is run without `--full`: who may do what, names and Services, and the command line.
const PART: &str = r"\[sig-(auth|cli|network)\].*\[Conformance\]";

const CHECKS: &[Check] = &[
    Check { name: "two machines become workers", run: join },
    Check { name: "every machine has the images of the tests", run: images },
    Check { name: "the tests are of the cluster's version, and those left out are some of them", run: fits },
    Check { name: "conformance tests that may run beside others pass", run: beside },
];
const MORE_CHECKS: &[Check] = &[
    Check { name: "conformance tests that must run alone pass", run: alone },
    Check { name: "every conformance test was run or is left out with a reason", run: complete },
];
const AFTERWARDS: &[Check] =
    &[Check { name: "nothing has tried to connect to the outside", run: no_connection_leaves }];

fn run(options: &Options, printer: &mut Printer) -> Result<Tally> {
    let gathered = options.checkout.join(GATHERED);
    ensure!(gathered.is_dir(), "there is no `{}`; `./doit.sh conformance` makes it", gathered.display());
    for report in [Report::Beside, Report::Alone] {
        // What an earlier run has left would be taken for what this one finds.
        let path = report.path(options);
        if path.exists() {
            fs::remove_file(&path).with_context(|| format!("could not remove `{}`", path.display()))?;
        }
    }
    let lab = super::bare(options, SUITE.name, 1 + WORKERS.len() as u8)?;
    let [control, workload] =
        [&lab.networks.control, &lab.networks.workload].map(|plane| plane.subnet.to_string());
    let configuration = install::configuration(&lab).replace(&workload, &control);
    install::bootstrap_as(&lab, &configuration, &super::quiet()).map_err(Diagnosed::new)?;
    wait_settled(lab.bootstrap()?)?;
    let more = if options.full { MORE_CHECKS } else { &[] };
    let checks = [CHECKS, more, AFTERWARDS].concat();
    let stage = Stage::new(Lab::clone(&lab), options.archive.clone(), options);
    let mut tally = run_checks(&checks, &stage, printer);
    if let Ok(tests) = all_tests(&stage) {
        // For the JUnit file: a test case for each test beside that of the check.
        tally.findings.extend(tests.into_iter().map(finding));
    }
    Ok(tally)
}

fn finding(test: report::Test) -> Finding {
    Finding { name: test.name, took: test.took, failure: test.failure, notes: Vec::new() }
}

/// What ginkgo writes of a run.
#[derive(Debug, Clone, Copy)]
enum Report {
    Beside,
    Alone,
}

impl Report {
    fn name(self) -> &'static str {
        match self {
            Self::Beside => "beside",
            Self::Alone => "alone",
        }
    }

    /// Where it is kept, with the log beside it.
    fn path(self, options: &Options) -> PathBuf {
        options.checkout.join(GATHERED).join(format!("{}.json", self.name()))
    }

    /// The tests that were run; none where there was no such run.
    fn tests(self, options: &Options) -> Result<Vec<report::Test>> {
        let path = self.path(options);
        if !path.exists() {
            return Ok(Vec::new());
        }
        let text = fs::read(&path).with_context(|| format!("could not read `{}`", path.display()))?;
        report::tests(&text).with_context(|| format!("`{}` is no report of ginkgo", path.display()))
    }
}

fn all_tests(stage: &Stage) -> Result<Vec<report::Test>> {
    let mut tests = Report::Beside.tests(&stage.options)?;
    tests.extend(Report::Alone.tests(&stage.options)?);
    Ok(tests)
}

fn join(stage: &Stage) -> Result<()> {
    for name in WORKERS {
        let machine = stage.machine(name)?;
        apply(stage, &node_manifest(stage, name, &machine.control.to_string(), &[Role::Node])?)?;
        let output = deploy_node(stage, name)?;
        ensure!(output.success(), "{}", said(&output));
    }
    wait_for_pods(stage.lab.bootstrap()?)
}

fn gathered(stage: &Stage, name: &str) -> PathBuf {
    stage.options.checkout.join(GATHERED).join(name)
}

fn images(stage: &Stage) -> Result<()> {
    let archive = format!("{FOLDER}/images.tar");
    for machine in &stage.lab.machines {
        machine.copy_to(&gathered(stage, "images.tar"), &archive, 0o644)?;
        machine.run_checked(&format!("ctr --namespace k8s.io images import {archive} && rm {archive}"))?;
    }
    let bootstrap = stage.lab.bootstrap()?;
    bootstrap.copy_to(&gathered(stage, "ginkgo"), &format!("{FOLDER}/ginkgo"), 0o755)?;
    // By this ending ginkgo knows that it has nothing to compile.
    bootstrap.copy_to(&gathered(stage, "conformance"), &format!("{FOLDER}/conformance.test"), 0o755)?;
    Ok(())
}

/// The names of all conformance tests.
fn names(stage: &Stage) -> Result<Vec<String>> {
    let text =
        stage.lab.bootstrap()?.run_checked(&format!("{FOLDER}/conformance.test --list-conformance-tests"))?;
    Ok(text.lines().map(str::to_owned).collect())
}

fn left_out(checkout: &Path) -> Result<LeftOut> {
    let text = fs::read_to_string(checkout.join(LEFT_OUT))
        .with_context(|| format!("could not read `{LEFT_OUT}`"))?;
    LeftOut::parse(&text).with_context(|| format!("`{LEFT_OUT}` is not valid"))
}

fn fits(stage: &Stage) -> Result<()> {
    let bootstrap = stage.lab.bootstrap()?;
    let tests = bootstrap.run_checked(&format!("{FOLDER}/conformance.test --version"))?;
    let server = kubectl_json(bootstrap, "version")?;
    let server = server["serverVersion"]["gitVersion"].as_str().context("the server tells no version")?;
    ensure!(tests.contains(server), "the tests are of {tests}, the cluster is {server}");
    let names = names(stage)?;
    let left_out = left_out(&stage.options.checkout)?;
    let unknown = left_out.unknown(&names);
    ensure!(unknown.is_empty(), "`{LEFT_OUT}` has what is no conformance test: {unknown:?}");
    stage.note(format!("{} tests", names.len()));
    Ok(())
}

fn beside(stage: &Stage) -> Result<()> {
    let focus = if stage.options.full { CONFORMANCE } else { PART };
    ginkgo(stage, Report::Beside, BESIDE, focus, &[ALONE])
}

fn alone(stage: &Stage) -> Result<()> {
    // A focus is one expression, and these words stand on either side of the other one.
    let focus = format!(r"({ALONE}).*{CONFORMANCE}|{CONFORMANCE}.*({ALONE})");
    ginkgo(stage, Report::Alone, "1", &focus, &[])
}

/// Runs the tests whose names fit, and looks at what became of them.
fn ginkgo(stage: &Stage, report: Report, procs: &str, focus: &str, skip: &[&str]) -> Result<()> {
    let bootstrap = stage.lab.bootstrap()?;
    let left_out = left_out(&stage.options.checkout)?;
    let mut words = vec![
        "./ginkgo".to_owned(),
        format!("--procs={procs}"),
        format!("--focus={focus}"),
        format!("--timeout={}s", PATIENCE.as_secs()),
        "--no-color".to_owned(),
        "--silence-skips".to_owned(),
        format!("--json-report={}.json", report.name()),
        format!("--output-dir={FOLDER}"),
    ];
    let left_out_pattern = left_out.pattern();
    let skip = skip.iter().copied().chain(left_out_pattern.as_deref());
    words.extend(skip.map(|pattern| format!("--skip={pattern}")));
    words.extend(["conformance.test", "--", "--provider=skeleton", "--disable-log-dump"].map(str::to_owned));
    words.push(format!("--kubeconfig={}", paths::ADMIN_KUBECONFIG));
    // Nodes with these may stay without pods of tests; by default that is only said of a control plane.
    let taints = [Role::Bootstrap, Role::Infra].map(Role::key).join(",");
    words.push(format!("--non-blocking-taints={taints}"));
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    let log = format!("{}.log", report.name());
    let output = bootstrap.run_for(&format!("cd {FOLDER} && {} > {log} 2>&1", words.join(" ")), PATIENCE)?;
    // The log is there also where no test was run.
    bootstrap.copy_from(&format!("{FOLDER}/{log}"), &gathered(stage, &log))?;
    let copied =
        bootstrap.copy_from(&format!("{FOLDER}/{}.json", report.name()), &report.path(&stage.options));
    copied.with_context(|| format!("ginkgo left no report: {}", said(&output)))?;
    let tests = report.tests(&stage.options)?;
    let sum = Sum::of(&tests, &left_out, &names(stage)?);
    ensure!(sum.passed > 0 || !sum.failed.is_empty(), "no test was run: {}", said(&output));
    stage.note(sum.to_string());
    let log = gathered(stage, &log);
    ensure!(sum.failed.is_empty(), "{}\nthe log: {}", sum.failed.join("\n"), log.display());
    ensure!(output.success(), "ginkgo ended with {}; the log: {}", output.code, log.display());
    Ok(())
}

/// Names do leave: a test asks for one of another domain, the cluster's DNS asks on, and as nobody answers, it goes on
/// asking whether somebody does.
fn no_connection_leaves(stage: &Stage) -> Result<()> {
    for machine in &stage.lab.machines {
        let counted = machine.run_checked("nft list counter inet metalk8s-lab connections")?;
        if !counted.contains("packets 0 ") {
            let who = machine.run_checked("nft list sets table inet metalk8s-lab")?;
            bail!("{}: {counted}, of:\n{who}", machine.name);
        }
    }
    Ok(())
}

fn complete(stage: &Stage) -> Result<()> {
    let left_out = left_out(&stage.options.checkout)?;
    let sum = Sum::of(&all_tests(stage)?, &left_out, &names(stage)?);
    stage.note(sum.to_string());
    for (name, why) in left_out.tests() {
        stage.note(format!("left out: {name}: {why}"));
    }
    ensure!(sum.not_run.is_empty(), "neither run nor left out: {:?}", sum.not_run);
    Ok(())
}
