//! Runs and the record of their steps.

use kube::{
    ResourceExt,
    api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams},
};
use metalk8s_types::fleet::{NAMESPACE, Run, RunSpec, RunStatus};
use serde_json::json;

use super::{Fleet, FleetError, api, ask};
use crate::call::if_found;

impl Fleet {
    /// Asks for a run.
    ///
    /// # Errors
    /// When there is one of that name, or the API cannot be asked.
    pub async fn create_run(&self, name: &str, spec: &RunSpec) -> Result<Run, FleetError> {
        let run = Run {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some(NAMESPACE.to_owned()),
                ..ObjectMeta::default()
            },
            spec: spec.clone(),
            status: None,
        };
        let doing = || format!("ask for the run `{name}`");
        self.with(doing, async |connection| {
            ask(connection, api(connection).create(&PostParams::default(), &run)).await
        })
        .await
    }

    /// All runs, the oldest first.
    ///
    /// # Errors
    /// When the API cannot be asked.
    pub async fn runs(&self) -> Result<Vec<Run>, FleetError> {
        let doing = || "list the runs".to_owned();
        self.with(doing, async |connection| {
            let list = ask(connection, api::<Run>(connection).list(&ListParams::default())).await?;
            let mut runs = list.items;
            runs.sort_by_key(ResourceExt::name_any);
            Ok(runs)
        })
        .await
    }

    /// One run, where there is such a one.
    ///
    /// # Errors
    /// When the API cannot be asked.
    pub async fn run(&self, name: &str) -> Result<Option<Run>, FleetError> {
        let doing = || format!("read the run `{name}`");
        self.with(doing, async |connection| if_found(ask(connection, api(connection).get(name)).await)).await
    }

    /// Records how far a run is.
    ///
    /// # Errors
    /// When the API cannot be asked.
    pub async fn record_run(&self, name: &str, status: &RunStatus) -> Result<Run, FleetError> {
        let doing = || format!("record the run `{name}`");
        self.with(doing, async |connection| {
            let patch = Patch::Merge(json!({"status": status}));
            let runs = api::<Run>(connection);
            ask(connection, runs.patch_status(name, &PatchParams::default(), &patch)).await
        })
        .await
    }

    /// Tells what a run is at or waits for, until the next thing is recorded.
    ///
    /// # Errors
    /// When there is no such run, or the API cannot be asked.
    pub async fn tell_of_run(&self, name: &str, message: &str) -> Result<(), FleetError> {
        let doing = || format!("tell of the run `{name}`");
        self.with(doing, async |connection| {
            let patch = Patch::Merge(json!({"status": {"message": message}}));
            let runs = api::<Run>(connection);
            ask(connection, runs.patch_status(name, &PatchParams::default(), &patch)).await.map(drop)
        })
        .await
    }

    /// Forgets a run; one that is not there is forgotten already.
    ///
    /// # Errors
    /// When the API cannot be asked.
    pub async fn delete_run(&self, name: &str) -> Result<(), FleetError> {
        let doing = || format!("delete the run `{name}`");
        self.with(doing, async |connection| {
            let gone = ask(connection, api::<Run>(connection).delete(name, &DeleteParams::default())).await;
            if_found(gone).map(drop)
        })
        .await
    }

    /// Wishes that a run ends after the step that is being done.
    ///
    /// # Errors
    /// When there is no such run, or the API cannot be asked.
    pub async fn cancel_run(&self, name: &str) -> Result<Run, FleetError> {
        let doing = || format!("cancel the run `{name}`");
        self.with(doing, async |connection| {
            let patch = Patch::Merge(json!({"spec": {"cancelled": true}}));
            ask(connection, api::<Run>(connection).patch(name, &PatchParams::default(), &patch)).await
        })
        .await
    }
}
