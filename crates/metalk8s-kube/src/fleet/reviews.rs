//! Whose a token is, and what somebody may do: the API server is asked.

use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec},
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
};
use kube::{Api, api::PostParams};
use metalk8s_types::fleet::{AGENTS_PLURAL, GROUP, NAMESPACE};

use super::{Fleet, FleetError, ask};

/// Somebody, as the API server knows him.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// His name.
    pub username: String,
    /// His groups.
    pub groups: Vec<String>,
}

impl Fleet {
    /// Whose this token is; nobody's where the API server does not accept it.
    ///
    /// # Errors
    /// When the API cannot be asked.
    pub async fn review_token(&self, token: &str) -> Result<Option<Identity>, FleetError> {
        let doing = || "have a token reviewed".to_owned();
        let review = TokenReview {
            spec: TokenReviewSpec { token: token.to_owned(), audiences: None },
            ..TokenReview::default()
        };
        self.with(doing, async |connection| {
            let reviews: Api<TokenReview> = Api::all(connection.client.clone());
            let answer = ask(connection, reviews.create(&PostParams::default(), &review)).await?;
            let status = answer.status.unwrap_or_default();
            let user = status.user.filter(|_| status.authenticated == Some(true));
            Ok(user.and_then(|user| {
                let username = user.username.filter(|name| !name.is_empty())?;
                Some(Identity { username, groups: user.groups.unwrap_or_default() })
            }))
        })
        .await
    }

    /// Whether somebody may do this with all agents.
    ///
    /// # Errors
    /// When the API cannot be asked.
    pub async fn may_with_agents(&self, who: &Identity, verb: &str) -> Result<bool, FleetError> {
        let doing = || format!("ask whether `{}` may {verb} agents", who.username);
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(who.username.clone()),
                groups: Some(who.groups.clone()),
                resource_attributes: Some(ResourceAttributes {
                    group: Some(GROUP.to_owned()),
                    resource: Some(AGENTS_PLURAL.to_owned()),
                    namespace: Some(NAMESPACE.to_owned()),
                    verb: Some(verb.to_owned()),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        self.with(doing, async |connection| {
            let reviews: Api<SubjectAccessReview> = Api::all(connection.client.clone());
            let answer = ask(connection, reviews.create(&PostParams::default(), &review)).await?;
            Ok(answer.status.is_some_and(|status| status.allowed && status.denied != Some(true)))
        })
        .await
    }
}
