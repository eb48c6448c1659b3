//! Waiting for what a host can see: HTTP answers and sockets.

mod http;

use std::time::Duration;

use metalk8s_engine::{
    Change, ChangeKind, StateError,
    state::{Condition, Wait},
};
use tokio::{
    net::UnixStream,
    time::{Instant, sleep, timeout},
};

use crate::{Host, doing::Doing};

/// One look takes no longer than this.
const ONE_TRY: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

pub(crate) async fn check(host: &Host, wish: &Wait) -> Result<Option<Change>, StateError> {
    let holds = look(host, &wish.until).await?.is_ok();
    Ok((!holds).then(|| Change::new(ChangeKind::Wait, format!("wait for {}", name(&wish.until)))))
}

pub(crate) async fn apply(host: &Host, wish: &Wait) -> Result<(), StateError> {
    let end = Instant::now() + Duration::from_secs(wish.deadline_seconds);
    let mut pause = FIRST_PAUSE;
    loop {
        let Err(why) = look(host, &wish.until).await? else { return Ok(()) };
        if Instant::now() + pause > end {
            let what = name(&wish.until);
            return Err(StateError::new(format!("waited {} s for {what}", wish.deadline_seconds))
                .because(why)
                .retryable());
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn name(condition: &Condition) -> String {
    match condition {
        Condition::Http { url, .. } => url.clone(),
        Condition::Socket(path) => format!("the socket {}", path.display()),
        Condition::NodeExists(_)
        | Condition::NodeReady(_)
        | Condition::RolledOut { .. }
        | Condition::PodReady { .. }
        | Condition::CrdEstablished(_)
        | Condition::SecretExists { .. } => "a condition of the cluster".to_owned(),
    }
}

/// Whether it holds; if not, why.
async fn look(host: &Host, condition: &Condition) -> Result<Result<(), String>, StateError> {
    match condition {
        Condition::Http { url, ca, client } => {
            let address = http::Address::parse(url).doing(|| format!("`{url}` cannot be waited for"))?;
            let asked = http::ask(host, &address, ca.as_deref(), client.as_ref());
            Ok(match timeout(ONE_TRY, asked).await {
                Ok(Ok(status)) if status == ::http::StatusCode::OK => Ok(()),
                Ok(Ok(status)) => Err(format!("it answers {status}")),
                Ok(Err(err)) => Err(whole(&err)),
                Err(_) => Err(format!("no answer within {} s", ONE_TRY.as_secs())),
            })
        }
        Condition::Socket(path) => {
            let real = host.real(path)?;
            Ok(match timeout(ONE_TRY, UnixStream::connect(real)).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(err)) => Err(err.to_string()),
                Err(_) => Err(format!("no answer within {} s", ONE_TRY.as_secs())),
            })
        }
        Condition::NodeExists(_)
        | Condition::NodeReady(_)
        | Condition::RolledOut { .. }
        | Condition::PodReady { .. }
        | Condition::CrdEstablished(_)
        | Condition::SecretExists { .. } => {
            Err(StateError::new("a condition of the cluster was given to the hands of the host"))
        }
    }
}

/// An error with all its causes, in one line.
fn whole(err: &dyn std::error::Error) -> String {
    let mut text = err.to_string();
    let mut next = err.source();
    while let Some(err) = next {
        text.push_str(": ");
        text.push_str(&err.to_string());
        next = err.source();
    }
    text
}

#[cfg(test)]
mod tests;
