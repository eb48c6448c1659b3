//! Many agents whose certificates are due at the same moment, for measuring how long the last of them waits for the
//! conductor's signature.
//!
//! Usage: `renewing KUBECONFIGS FIRST COUNT`: the agents `sim-FIRST` and those after it, whose kubeconfigs are files of
//! these names. Prints the seconds until half of them and until all had theirs.

#![expect(clippy::print_stdout, reason = "what it measures is its answer")]

use std::{env, path::PathBuf, sync::Arc};

use anyhow::{Context, bail};
use metalk8s_host::Signatures;
use metalk8s_kube::Fleet;
use metalk8s_orchestrator::Requests;
use metalk8s_pki::{Request, Usage, certificate_request};
use metalk8s_types::fleet::{AGENTS, agent_user};
use tokio::{
    sync::Barrier,
    task::JoinSet,
    time::{Duration, Instant},
};

const SIGNER: &str = "metalk8s.scality.com/kubernetes";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let [kubeconfigs, first, count] = &words[..] else { bail!("usage: renewing KUBECONFIGS FIRST COUNT") };
    let (first, count): (usize, usize) = (first.parse()?, count.parse()?);
    let connected = Arc::new(Barrier::new(count));
    let mut agents = JoinSet::new();
    for number in first..first + count {
        let node = format!("sim-{number}");
        agents.spawn(renew(PathBuf::from(kubeconfigs).join(&node), node, connected.clone()));
    }
    let mut waited = Vec::new();
    while let Some(ended) = agents.join_next().await {
        waited.push(ended??);
    }
    waited.sort();
    let at = |index: usize| waited.get(index).map(Duration::as_secs_f64).context("nobody waited");
    println!("{:.1} {:.1}", at(waited.len() / 2)?, at(waited.len() - 1)?);
    Ok(())
}

/// How long this one waited, once all were connected.
async fn renew(kubeconfig: PathBuf, node: String, connected: Arc<Barrier>) -> anyhow::Result<Duration> {
    let fleet = Fleet::lazy(kubeconfig);
    fleet.agent(&node).await?.with_context(|| format!("`{node}` has no agent"))?;
    let wish = Request {
        common_name: agent_user(&node),
        organizations: vec![AGENTS.to_owned()],
        usages: vec![Usage::Client],
        ..Request::default()
    };
    let request = certificate_request(&wish)?;
    connected.wait().await;
    let begun = Instant::now();
    Requests::new(fleet, node).sign(SIGNER, &request.request_pem, &[Usage::Client]).await?;
    Ok(begun.elapsed())
}
