//! Objects, applied on the server's side.

mod compare;

use kube::{
    Api,
    api::{Patch, PatchParams},
    core::DynamicObject,
};
use metalk8s_engine::{Change, state::Object};
use serde_json::Value;

use crate::{
    call::{CallError, Refusal, call, if_found},
    connection::Connection,
};

/// What names an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity<'a> {
    api_version: &'a str,
    kind: &'a str,
    namespace: Option<&'a str>,
    name: &'a str,
}

impl<'a> Identity<'a> {
    fn of(wish: &'a Object) -> Result<Self, CallError> {
        let field = |pointer: &str| {
            let text = wish.manifest.pointer(pointer).and_then(Value::as_str);
            text.filter(|text| !text.is_empty())
        };
        let required = |pointer: &str| {
            field(pointer).ok_or_else(|| {
                let key = pointer.trim_start_matches('/').replace('/', ".");
                CallError::Mistake(format!("the manifest has no `{key}`"))
            })
        };
        Ok(Self {
            api_version: required("/apiVersion")?,
            kind: required("/kind")?,
            namespace: field("/metadata/namespace"),
            name: required("/metadata/name")?,
        })
    }

    /// How people call the object, such as ``ConfigMap `kube-system/coredns` ``.
    pub(crate) fn name(wish: &Object) -> String {
        match Identity::of(wish) {
            Ok(Identity { kind, namespace: Some(namespace), name, .. }) => {
                format!("{kind} `{namespace}/{name}`")
            }
            Ok(Identity { kind, namespace: None, name, .. }) => format!("{kind} `{name}`"),
            Err(_) => "an object without kind or name".to_owned(),
        }
    }
}

/// What applying the object would change; the server itself is asked, without keeping the result.
pub(crate) async fn check(connection: &Connection, wish: &Object) -> Result<Option<Change>, CallError> {
    let identity = Identity::of(wish)?;
    let api = match connection.api(identity.api_version, identity.kind, identity.namespace).await {
        Ok(api) => api,
        // Its CustomResourceDefinition may be a part of the same plan.
        Err(CallError::UnknownKind { .. }) => return Ok(compare::change(None, &wish.manifest)),
        Err(error) => return Err(error),
    };
    let live = read(connection, &api, identity.name).await?;
    match patch(connection, &api, identity.name, wish, &params(wish).dry_run()).await {
        Ok(after) => Ok(compare::change(live.as_ref(), &after)),
        // Its namespace may be a part of the same plan.
        Err(error) if live.is_none() && error.is(Refusal::NotFound) => {
            Ok(compare::change(None, &wish.manifest))
        }
        Err(error) => Err(error),
    }
}

/// Applies the object and tells what became different.
pub(crate) async fn apply(connection: &Connection, wish: &Object) -> Result<Option<Change>, CallError> {
    let identity = Identity::of(wish)?;
    let api = connection.api(identity.api_version, identity.kind, identity.namespace).await?;
    let live = read(connection, &api, identity.name).await?;
    let after = patch(connection, &api, identity.name, wish, &params(wish)).await?;
    Ok(compare::change(live.as_ref(), &after))
}

async fn read(
    connection: &Connection,
    api: &Api<DynamicObject>,
    name: &str,
) -> Result<Option<Value>, CallError> {
    if_found(call(&connection.server, api.get(name)).await)?.map(value).transpose()
}

async fn patch(
    connection: &Connection,
    api: &Api<DynamicObject>,
    name: &str,
    wish: &Object,
    params: &PatchParams,
) -> Result<Value, CallError> {
    let answer = call(&connection.server, api.patch(name, params, &Patch::Apply(&wish.manifest))).await?;
    value(answer)
}

fn value(object: DynamicObject) -> Result<Value, CallError> {
    serde_json::to_value(object).map_err(CallError::Answer)
}

fn params(wish: &Object) -> PatchParams {
    // A field that the server does not know is a mistake in the manifest, not something to drop in silence.
    let params = PatchParams::apply(&wish.manager).validation_strict();
    if wish.force { params.force() } else { params }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wish(manifest: Value) -> Object {
        Object { manifest, manager: "metalk8s-test".into(), force: false }
    }

    #[test]
    fn objects_are_called_by_kind_namespace_and_name() {
        let manifest = json!({"apiVersion": "v1", "kind": "ConfigMap",
                              "metadata": {"name": "a", "namespace": "n"}});
        assert_eq!(Identity::name(&wish(manifest)), "ConfigMap `n/a`");
        let manifest = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}});
        assert_eq!(Identity::name(&wish(manifest)), "Namespace `n`");
    }

    #[test]
    fn a_manifest_that_names_nothing_is_a_mistake_that_says_what_is_missing() {
        for (manifest, key) in [
            (json!({"kind": "ConfigMap", "metadata": {"name": "a"}}), "apiVersion"),
            (json!({"apiVersion": "v1", "metadata": {"name": "a"}}), "kind"),
            (json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": ""}}), "metadata.name"),
            (json!([]), "apiVersion"),
        ] {
            let wish = wish(manifest);
            let error = Identity::of(&wish).unwrap_err();
            assert_eq!(error.to_string(), format!("the manifest has no `{key}`"));
            assert!(!error.is_retryable());
        }
    }
}
