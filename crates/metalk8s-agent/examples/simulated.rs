//! Many agents in one process, for measuring what a fleet costs: each is the daemon that every node runs, with a
//! user, a watch and a spool of its own. Their jobs are answered by a process each, which knows `test.ping`.
//!
//! Usage: `simulated KUBECONFIGS SPOOLS FIRST COUNT`: the agents `sim-FIRST` and those after it. KUBECONFIGS has a
//! file for each of them, named as it; SPOOLS is where they remember jobs.

use std::{env, ffi::OsString, path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use metalk8s_agent::{AgentConfig, Looks, Outcome, Spool, carry_out, serve};
use metalk8s_diagnostics::logging;
use serde_json::json;
use tokio::{runtime::Builder, task::JoinSet};

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        // On a thread of its own alone: a thousand of these share the computer with the API server that is measured.
        ["job", spool, name] => {
            Builder::new_current_thread().enable_all().build()?.block_on(answer(spool.into(), name))
        }
        [kubeconfigs, spools, first, count] => {
            logging::daemon()?;
            let agents = simulate(kubeconfigs.into(), spools.into(), first.parse()?, count.parse()?);
            Builder::new_multi_thread().enable_all().build()?.block_on(agents)
        }
        _ => bail!("usage: simulated KUBECONFIGS SPOOLS FIRST COUNT"),
    }
}

async fn answer(spool: PathBuf, name: &str) -> anyhow::Result<()> {
    carry_out(&Spool::open(&spool)?, name, async |job| match job.function.as_str() {
        "test.ping" => Ok(Outcome { retcode: 0, result: "true".to_owned(), outputter: None }),
        other => Err(format!("a simulated agent knows no function `{other}`")),
    })
    .await?;
    Ok(())
}

async fn simulate(kubeconfigs: PathBuf, spools: PathBuf, first: usize, count: usize) -> anyhow::Result<()> {
    let program = env::current_exe().context("could not find out which program this is")?;
    let mut agents = JoinSet::new();
    for number in first..first + count {
        let node = format!("sim-{number}");
        let spool = spools.join(&node);
        std::fs::create_dir_all(&spool)?;
        let command: Vec<OsString> = vec![program.clone().into(), "job".into(), spool.clone().into()];
        let config = AgentConfig {
            kubeconfig: kubeconfigs.join(&node),
            grains: json!({"id": node, "os": "Simulated"}),
            lives: Vec::new,
            node,
            looks: Looks {
                command: Vec::new(),
                every: Duration::ZERO,
                after: |_| false,
                seen: spool.join("drift.json"),
            },
            spool,
            command,
        };
        agents.spawn(serve(config, std::future::pending()));
    }
    while let Some(ended) = agents.join_next().await {
        ended??;
    }
    Ok(())
}
