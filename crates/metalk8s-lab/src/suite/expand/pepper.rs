//! The HTTP API, used by a client that others wrote: salt-pepper, on this computer.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use metalk8s_types::paths;
use serde_json::{Value, json};

use super::{NODE, Stage, api, said};
use crate::{Output, SOON, process};

/// Who logs in.
const ACCOUNT: &str = "admin";
/// How long the client may take to be fetched, the first time on a computer.
const FETCHED: Duration = Duration::from_secs(300);

/// Its library: logs in, runs a job, and reads what is told of it meanwhile.
const JOB: &str = r#"
import json, sys
from pepper import Pepper

url, account, minion = sys.argv[1:]
api = Pepper(url)
api.login(account, sys.stdin.readline().strip(), "kubernetes_rbac")
events = api.req_stream("/events")
lines = (line.decode() for line in events.iter_lines())
# What happens after the first line is told.
next(lines)
job = api.local_async(minion, "grains.get", ["id"])["return"][0]["jid"]
tags, told = [], None
for line in lines:
    if line.startswith(f"tag: salt/job/{job}/"):
        tags.append(line.removeprefix("tag: "))
    elif line.startswith("data: ") and tags and "/ret/" in tags[-1]:
        told = json.loads(line.removeprefix("data: "))["data"]["return"]
        break
found = api.lookup_jid(job)["return"][0]
json.dump({"job": job, "tags": tags, "told": told, "found": found}, sys.stdout)
"#;

/// Its command pings all agents, and its library runs a job of which it reads the events and the result.
pub(super) fn works(stage: &Stage) -> Result<()> {
    let client = Client::new(stage)?;
    let program = client.folder.join("bin/pepper");
    // The token is in the environment, as the list of processes is everybody's.
    let mut ping = client.python(&[&program.to_string_lossy(), "-c", "/dev/null", "*", "test.ping"]);
    ping.envs([("SALTAPI_URL", &*client.url), ("SALTAPI_USER", ACCOUNT), ("SALTAPI_PASS", &*client.token)]);
    ping.env("SALTAPI_EAUTH", "kubernetes_rbac");
    let pinged = answer(&process::capture(&mut ping, None, SOON)?)?;
    for minion in [&*stage.lab.bootstrap()?.name, NODE] {
        ensure!(pinged["return"][0][minion]["ret"] == true, "{minion} does not answer: {pinged}");
    }
    let input = format!("{}\n", client.token).into_bytes();
    let mut job = client.python(&["-c", JOB, &client.url, ACCOUNT, NODE]);
    let told = answer(&process::capture(&mut job, Some(input), SOON)?)?;
    let jid = told["job"].as_str().context("no job was begun")?;
    let tags = json!([format!("salt/job/{jid}/new"), format!("salt/job/{jid}/ret/{NODE}")]);
    ensure!(told["tags"] == tags && told["told"] == NODE, "the events are {told}");
    ensure!(told["found"] == json!({NODE: NODE}), "the result is {told}");
    Ok(())
}

/// The client, with what it must know to log in.
struct Client {
    folder: PathBuf,
    url: String,
    token: String,
    authority: tempfile::NamedTempFile,
}

impl Client {
    fn new(stage: &Stage) -> Result<Self> {
        let bootstrap = stage.lab.bootstrap()?;
        let mut fetch = Command::new(stage.options.checkout.join("scripts/tests/pepper"));
        let fetched = process::capture(&mut fetch, None, FETCHED)?;
        ensure!(fetched.success(), "the client cannot be had: {}", said(&fetched));
        let authority = tempfile::NamedTempFile::new()?;
        let certificate = bootstrap.run_checked(&format!("cat {}/ca.crt", paths::KUBERNETES_PKI))?;
        fs::write(authority.path(), certificate)?;
        Ok(Self {
            folder: PathBuf::from(fetched.stdout.trim()),
            url: format!("https://{}:4507", bootstrap.control),
            token: api::token(stage, ACCOUNT)?,
            authority,
        })
    }

    /// Python with the client in it, which reaches the machines of the lab without a proxy.
    fn python(&self, words: &[&str]) -> Command {
        let mut python = Command::new("python3");
        // The client has not changed for years, and Python warns of what it uses.
        python.args(["-W", "ignore"]).args(words);
        python.env("PYTHONPATH", &self.folder).env("REQUESTS_CA_BUNDLE", self.authority.path());
        python.envs([("NO_PROXY", "*"), ("no_proxy", "*")]);
        python
    }
}

fn answer(output: &Output) -> Result<Value> {
    ensure!(output.success(), "{}", said(output));
    serde_json::from_str(&output.stdout).with_context(|| format!("no JSON: {}", output.stdout))
}
