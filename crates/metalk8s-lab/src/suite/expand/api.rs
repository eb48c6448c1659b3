//! The HTTP API of the pod salt-master, as a program of the cluster's network uses it.

use anyhow::{Context, Result, ensure};
use metalk8s_types::paths;
use serde_json::{Value, json};

use super::{Machine, NODE, Stage, kubectl, kubectl_json, version_of_archive, wait_until};
use crate::SOON;

/// Where the accounts are that log in.
const NAMESPACE: &str = "api-users";

/// A client, and the secret of its session.
struct Client<'s> {
    stage: &'s Stage,
    session: String,
}

/// What was answered.
struct Answer {
    status: u16,
    body: Value,
}

/// Asks the API with these words for curl. Secrets are in a file, as the list of processes is everybody's.
fn ask(stage: &Stage, path: &str, settings: &str) -> Result<Answer> {
    let bootstrap = stage.lab.bootstrap()?;
    let url = format!("https://{}:4507{path}", bootstrap.control);
    let settings = format!("{settings}\nurl = \"{url}\"\ncacert = \"{}/ca.crt\"\n", paths::KUBERNETES_PKI);
    bootstrap.write("/root/curl.conf", settings.as_bytes(), 0o600)?;
    let printed = bootstrap
        .run_checked("curl --silent --show-error --config /root/curl.conf --write-out '\\n%{http_code}'")?;
    let (body, status) = printed.trim_end().rsplit_once('\n').context("curl told no status")?;
    let status = status.parse().with_context(|| format!("curl told the status `{status}`"))?;
    Ok(Answer { status, body: serde_json::from_str(body).with_context(|| format!("no JSON: {body}"))? })
}

fn data(value: &Value) -> String {
    format!("header = \"Content-Type: application/json\"\ndata = {}", json!(value.to_string()))
}

fn log_in(stage: &Stage, account: &str, token: &str) -> Result<Answer> {
    let login = json!({"eauth": "kubernetes_rbac", "username": account, "token": token});
    ask(stage, "/login", &data(&login))
}

/// A token of an account that [`lets_in`] has made.
pub(super) fn token(stage: &Stage, account: &str) -> Result<String> {
    let token = kubectl(stage.lab.bootstrap()?, &format!("create token {account} -n {NAMESPACE}"))?;
    Ok(token.trim().to_owned())
}

impl<'s> Client<'s> {
    fn new(stage: &'s Stage, account: &str) -> Result<Self> {
        let answer = log_in(stage, account, &token(stage, account)?)?;
        let session = answer.body["return"][0]["token"].as_str();
        let session = session.with_context(|| format!("`{account}` is not let in: {}", answer.body))?;
        Ok(Self { stage, session: session.to_owned() })
    }

    fn get(&self, path: &str) -> Result<Answer> {
        ask(self.stage, path, &self.header())
    }

    /// What one chunk returns.
    fn call(&self, path: &str, chunk: &Value) -> Result<Value> {
        let answer = ask(self.stage, path, &format!("{}\n{}", self.header(), data(chunk)))?;
        ensure!(answer.status < 300, "{chunk}: {} {}", answer.status, answer.body);
        Ok(answer.body["return"][0].clone())
    }

    fn header(&self) -> String {
        format!("header = \"X-Auth-Token: {}\"", self.session)
    }
}

/// The administrator may all, an account without rights nothing, a wrong token is nobody's.
pub(super) fn lets_in(stage: &Stage) -> Result<()> {
    let bootstrap = stage.lab.bootstrap()?;
    kubectl(bootstrap, &format!("create namespace {NAMESPACE}"))?;
    for account in ["admin", "nobody"] {
        kubectl(bootstrap, &format!("create serviceaccount {account} -n {NAMESPACE}"))?;
    }
    kubectl(
        bootstrap,
        &format!(
            "create clusterrolebinding {NAMESPACE} --clusterrole cluster-admin --serviceaccount {NAMESPACE}:admin"
        ),
    )?;
    let welcome = ask(stage, "/", "")?;
    ensure!(welcome.status == 200 && welcome.body["return"] == "Welcome", "{}", welcome.body);
    let stranger = ask(stage, "/stats", "")?;
    ensure!(stranger.status == 401, "without a session: {} {}", stranger.status, stranger.body);
    let wrong = log_in(stage, "admin", "wrong")?;
    ensure!(wrong.status == 401, "with a wrong token: {} {}", wrong.status, wrong.body);
    let other = log_in(stage, "admin", &token(stage, "nobody")?)?;
    ensure!(other.status == 401, "with somebody else's token: {} {}", other.status, other.body);
    let nobody = log_in(stage, "nobody", &token(stage, "nobody")?)?;
    ensure!(nobody.status == 403, "without rights: {} {}", nobody.status, nobody.body);
    let admin = Client::new(stage, "admin")?;
    let keys = admin.get("/keys")?;
    ensure!(keys.body["return"]["minions"] == json!(["bootstrap", NODE]), "keys: {}", keys.body);
    Ok(())
}

/// Events that are read on the Bootstrap node, from now on, until this is dropped.
struct Stream<'s> {
    bootstrap: &'s Machine,
}

impl<'s> Stream<'s> {
    fn open(client: &Client<'s>) -> Result<Self> {
        let bootstrap = client.stage.lab.bootstrap()?;
        let settings = format!(
            "{}\nurl = \"https://{}:4507/events\"\ncacert = \"{}/ca.crt\"\nno-buffer\nsilent\nmax-time = 240\n",
            client.header(),
            bootstrap.control,
            paths::KUBERNETES_PKI
        );
        bootstrap.write("/root/events.conf", settings.as_bytes(), 0o600)?;
        bootstrap.run_checked("systemd-run --quiet --collect --unit api-events --property StandardOutput=truncate:/root/events curl --config /root/events.conf")?;
        let stream = Self { bootstrap };
        wait_until("the stream of events", SOON, || {
            let opened =
                bootstrap.run("grep --quiet retry /root/events").map_err(|error| error.to_string())?;
            if opened.success() { Ok(()) } else { Err("it is not open".to_owned()) }
        })?;
        Ok(stream)
    }

    fn brings(&self, tags: &[String]) -> Result<()> {
        wait_until("all events", SOON, || {
            let events = self.bootstrap.run_checked("cat /root/events").map_err(|error| error.to_string())?;
            let missing = tags.iter().find(|tag| !events.contains(&format!("tag: {tag}\n")));
            missing.map_or(Ok(()), |tag| Err(format!("`{tag}` is missing: {events}")))
        })?;
        Ok(())
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        // It ends by itself after some minutes.
        drop(self.bootstrap.run("systemctl stop api-events; rm --force /root/events /root/events.conf"));
    }
}

/// All agents are pinged, a job is begun, and its events and its result are read.
pub(super) fn jobs(stage: &Stage) -> Result<()> {
    let admin = Client::new(stage, "admin")?;
    let pinged = admin.call("/", &json!({"client": "local", "tgt": "*", "fun": "test.ping"}))?;
    ensure!(pinged == json!({"bootstrap": true, NODE: true}), "a ping told {pinged}");
    let stream = Stream::open(&admin)?;
    let begun = admin.call("/minions", &json!({"tgt": NODE, "fun": "grains.get", "arg": ["id"]}))?;
    let jid = begun["jid"].as_str().with_context(|| format!("no job was begun: {begun}"))?;
    wait_until("the job's result", SOON, || {
        let told = admin.get(&format!("/jobs/{jid}")).map_err(|error| error.to_string())?;
        let returned = told.body["return"][0][NODE] == NODE;
        if returned { Ok(()) } else { Err(told.body.to_string()) }
    })?;
    stream.brings(&[format!("salt/job/{jid}/new"), format!("salt/job/{jid}/ret/{NODE}")])
}

/// The deployments of the Bootstrap node by itself, and of a worker, change nothing.
pub(super) fn deploys(stage: &Stage) -> Result<()> {
    let admin = Client::new(stage, "admin")?;
    for node in [&*stage.lab.bootstrap()?.name, NODE] {
        deploys_again(&admin, node).with_context(|| format!("the deployment of {node}"))?;
    }
    Ok(())
}

/// A deployment: begun over the API, carried out, nothing changed, and told as events.
fn deploys_again(admin: &Client<'_>, node: &str) -> Result<()> {
    let bootstrap = admin.stage.lab.bootstrap()?;
    let environment = format!("metalk8s-{}", version_of_archive(bootstrap)?);
    let chunk = json!({
        "client": "runner_async",
        "fun": "state.orchestrate",
        "arg": ["metalk8s.orchestrate.deploy_node"],
        "kwarg": {"saltenv": environment, "pillar": {"orchestrate": {"node_name": node}}},
    });
    let stream = Stream::open(admin)?;
    let begun = admin.call("/", &chunk)?;
    let run = begun["jid"].as_str().with_context(|| format!("no run was begun: {begun}"))?;
    let mut ended = Value::Null;
    wait_until("the run to end", SOON, || {
        let found = kubectl_json(bootstrap, &format!("get run {run} -n metalk8s-fleet"));
        ended = found.map_err(|error| error.to_string())?;
        let status = &ended["status"];
        if status["phase"] == "Succeeded" { Ok(()) } else { Err(status.to_string()) }
    })?;
    let procedure = &ended["spec"]["procedure"];
    ensure!(procedure["node"] == node, "it is the run of another: {procedure}");
    let steps = &ended["status"]["steps"];
    let changed: Vec<_> = steps
        .as_array()
        .into_iter()
        .flatten()
        .filter(|step| step["changes"].as_array().is_some_and(|changes| !changes.is_empty()))
        .collect();
    ensure!(changed.is_empty(), "something changed: {changed:?}");
    let count = steps.as_array().map_or(0, Vec::len);
    let mut tags: Vec<String> =
        (0..count).map(|step| format!("salt/job/{run}/prog/bootstrap_master/{step}")).collect();
    tags.extend([format!("salt/run/{run}/new"), format!("salt/run/{run}/ret")]);
    stream.brings(&tags)
}
