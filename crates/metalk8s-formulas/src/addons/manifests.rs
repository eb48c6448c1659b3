//! Reading manifests, filling in images, and turning objects into states.

use std::collections::BTreeMap;

use metalk8s_engine::{
    Graph, State, StateId,
    state::{Condition, Object, Wait},
};
use metalk8s_types::{Pillar, labels};
use serde_json::{Value, json};

use crate::{
    bootstrap::{FormulaError, image},
    layout::APISERVER_PROXY,
};

/// Manifests that an archive takes from upstream programs: addon name to objects, in file order.
pub type UpstreamManifests = BTreeMap<String, Vec<Value>>;

/// Why an addon cannot be rendered.
#[derive(Debug, thiserror::Error)]
pub enum AddonError {
    /// A manifest of ours is no YAML: a mistake of this program.
    #[error("manifest `{file}` of addon `{addon}` cannot be read: {message}")]
    Manifest {
        /// The addon.
        addon: &'static str,
        /// The file.
        file: &'static str,
        /// What is wrong.
        message: String,
    },
    /// The archive lacks manifests of an upstream program.
    #[error("the archive holds no manifests of addon `{0}`")]
    NoUpstream(&'static str),
}

/// An addon while it is made: its objects, ready to be patched and then added to a graph.
pub(super) struct Addon {
    name: &'static str,
    objects: Vec<Value>,
}

impl Addon {
    /// The addon's own manifests, each with its file name.
    pub(super) fn read(
        name: &'static str,
        files: &[(&'static str, &'static str)],
    ) -> Result<Self, AddonError> {
        let mut objects = Vec::new();
        for (file, text) in files {
            let read: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|err| AddonError::Manifest {
                addon: name,
                file,
                message: err.to_string(),
            })?;
            objects.extend(read);
        }
        Ok(Self { name, objects })
    }

    /// The one object of this kind and name, for changing.
    pub(super) fn object(&mut self, kind: &str, name: &str) -> &mut Value {
        self.objects
            .iter_mut()
            .find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
            .expect("the formula patches objects of its own manifests, and tests render all of them")
    }

    /// The logical image names of all pod templates (`image: coredns`) become references of the archive.
    pub(super) fn fill_images(&mut self, pillar: &Pillar) -> Result<(), FormulaError> {
        for object in &mut self.objects {
            let Some(spec) = object.pointer_mut("/spec/template/spec") else { continue };
            for list in ["initContainers", "containers"] {
                let containers = spec.get_mut(list).and_then(Value::as_array_mut);
                for container in containers.into_iter().flatten() {
                    let name = container["image"].as_str().unwrap_or_default().to_owned();
                    container["image"] = image(pillar, &name)?.into();
                }
            }
        }
        Ok(())
    }

    /// Adds the objects, each after all of `after`; returns their names.
    pub(super) fn add_to(self, graph: &mut Graph, after: &[StateId]) -> Vec<StateId> {
        let manager = format!("metalk8s-{}", self.name);
        self.objects
            .into_iter()
            .map(|mut object| {
                object["metadata"]["labels"][labels::MANAGED_BY] = labels::MANAGED_BY_VALUE.into();
                object["metadata"]["labels"][labels::PART_OF] = labels::PART_OF_VALUE.into();
                object["metadata"]["labels"]["heritage"] = "metalk8s".into();
                let id = graph.add(title(&object), object_state(object, &manager));
                graph.require_all(&id, after);
                id
            })
            .collect()
    }
}

/// What an object is called in plans: `DaemonSet kube-system/calico-node`.
pub(crate) fn title(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &object["metadata"];
    match metadata["namespace"].as_str() {
        Some(namespace) => format!("{} {namespace}/{}", text(&object["kind"]), text(&metadata["name"])),
        None => format!("{} {}", text(&object["kind"]), text(&metadata["name"])),
    }
}

/// A state that applies an object which is ours outright.
pub(crate) fn object_state(manifest: Value, manager: &str) -> State {
    State::Object(Object { manifest, manager: manager.to_owned(), force: true })
}

/// A state that waits for a workload of kube-system.
pub(super) fn rolled_out(kind: &str, name: &str) -> State {
    rolled_out_in("kube-system", kind, name)
}

/// A state that waits for a workload of this namespace.
pub(super) fn rolled_out_in(namespace: &str, kind: &str, name: &str) -> State {
    State::Wait(Wait {
        until: Condition::RolledOut {
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        },
        deadline_seconds: 300,
    })
}

/// By which a program on the node's own network reaches the API before Services work there.
pub(super) fn by_the_balancer() -> [Value; 2] {
    let (host, port) = APISERVER_PROXY.split_once(':').expect("the constant has a port");
    [variable("KUBERNETES_SERVICE_HOST", host), variable("KUBERNETES_SERVICE_PORT", port)]
}

/// One environment variable of a container.
pub(super) fn variable(name: &str, value: impl Into<String>) -> Value {
    json!({"name": name, "value": value.into()})
}
