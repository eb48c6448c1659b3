//! Events for everybody who listens: one watch of the fleet, as long as somebody does.

mod history;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use metalk8s_kube::fleet::Seen;
use metalk8s_orchestrator::bus::Bus;
use metalk8s_saltcompat::api::Event;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, broadcast, watch},
    time::timeout,
};

use history::History;

/// Events that a slow reader may be behind.
const BEHIND: usize = 1024;
/// Jobs of which it is known that they were announced.
const KNOWN: usize = 4096;
/// How long the beginning of a stream waits until all is known that was there before.
const BEGINNING: Duration = Duration::from_secs(10);
/// How often it is looked whether anybody listens still.
const LOOK: Duration = Duration::from_secs(30);

/// Where events come from.
pub(crate) struct Events {
    sender: broadcast::Sender<Arc<str>>,
    announced: Mutex<BTreeSet<String>>,
    /// Whether the one watch, where it goes on, knows what was there before.
    watched: tokio::sync::Mutex<Option<watch::Receiver<bool>>>,
    places: Arc<Semaphore>,
    most: usize,
}

/// Somebody who listens.
pub(crate) struct Listener {
    pub(crate) events: broadcast::Receiver<Arc<str>>,
    _place: OwnedSemaphorePermit,
}

impl Events {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            sender: broadcast::Sender::new(BEHIND),
            announced: Mutex::default(),
            watched: tokio::sync::Mutex::default(),
            places: Arc::new(Semaphore::new(most)),
            most,
        }
    }

    /// Listens from now on: whatever happens after this call has returned is told. `None` where too many listen.
    pub(crate) async fn listen(self: &Arc<Self>, bus: &Arc<dyn Bus>) -> Option<Listener> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let mut watched = self.watched.lock().await;
        // It is subscribed under the lock, so that a watch that is about to end sees it.
        let events = self.sender.subscribe();
        let goes_on = watched.as_ref().filter(|ready| ready.has_changed().is_ok());
        let mut ready = match goes_on {
            Some(ready) => ready.clone(),
            None => self.watch(Arc::clone(bus)),
        };
        *watched = Some(ready.clone());
        drop(watched);
        if timeout(BEGINNING, ready.wait_for(|ready| *ready)).await.is_err() {
            tracing::warn!("a stream of events begins before the fleet can be seen");
        }
        Some(Listener { events, _place: place })
    }

    /// Tells an event to everybody who listens.
    pub(crate) fn publish(&self, event: &Event) {
        if self.sender.receiver_count() > 0 {
            // It fails when the last one has gone meanwhile.
            let _ = self.sender.send(event.line().into());
        }
    }

    /// Tells of a job with all that is known of it, before the watch sees it come to the first minion.
    pub(crate) fn announce(&self, jid: &str, event: &Event) {
        if self.is_new(jid) {
            self.publish(event);
        }
    }

    /// How many listen.
    pub(crate) fn count(&self) -> usize {
        self.most - self.places.available_permits()
    }

    /// Whether this job was not announced before; now it is.
    fn is_new(&self, jid: &str) -> bool {
        let mut announced = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = announced.insert(jid.to_owned());
        if announced.len() > KNOWN {
            announced.pop_first();
        }
        is_new
    }

    fn watch(self: &Arc<Self>, bus: Arc<dyn Bus>) -> watch::Receiver<bool> {
        let (sender, ready) = watch::channel(false);
        let events = Arc::clone(self);
        tokio::spawn(async move {
            let (mut agents, mut runs) = (bus.follow_agents(None), bus.follow_runs(None));
            let mut history = History::default();
            let mut look = tokio::time::interval(LOOK);
            loop {
                tokio::select! {
                    seen = agents.recv() => match seen {
                        Some(Seen::There(agent)) => history.agent(&agent, &events),
                        Some(Seen::Gone(name)) => history.agent_gone(&name),
                        Some(Seen::Complete) => history.agents_complete(),
                        Some(Seen::Blind(why)) => tracing::warn!(error = why, "the agents cannot be seen, trying again"),
                        None => return,
                    },
                    seen = runs.recv() => match seen {
                        Some(Seen::There(run)) => history.run(&run, &events),
                        Some(Seen::Gone(name)) => history.run_gone(&name),
                        Some(Seen::Complete) => history.runs_complete(),
                        Some(Seen::Blind(why)) => tracing::warn!(error = why, "the runs cannot be seen, trying again"),
                        None => return,
                    },
                    _ = look.tick() => {
                        let mut watched = events.watched.lock().await;
                        if events.sender.receiver_count() == 0 {
                            *watched = None;
                            return;
                        }
                    }
                }
                sender.send_if_modified(|ready| !std::mem::replace(ready, history.is_complete()) && *ready);
            }
        });
        ready
    }
}
