//! API calls for webhook endpoints and integrations.

use super::{Api, CallError};
use crate::wire::{
    ConnectIntegration, CreateWebhookEndpoint, Integration, IntegrationList, UpdateWebhookEndpoint, WebhookDelivery,
    WebhookDeliveryAnswer, WebhookDeliveryList, WebhookEndpoint, WebhookEndpointAnswer, WebhookEndpointList,
};
use reqwest::Method;
use serde_json::Value;

/// An empty body.
const NOTHING: Option<&()> = None;

impl Api {
    /// The webhook endpoints of an organization.
    pub async fn webhook_endpoints(&self, organization: &str) -> Result<Vec<WebhookEndpoint>, CallError> {
        let list = self.get::<WebhookEndpointList>(&endpoints(organization), &[]).await?;
        Ok(list.webhook_endpoints)
    }

    /// Creates an endpoint. The secret is returned only once, so a lost response loses the secret.
    pub async fn create_webhook_endpoint(
        &self,
        organization: &str,
        wanted: &CreateWebhookEndpoint,
    ) -> Result<WebhookEndpointAnswer, CallError> {
        self.once(Method::POST, &endpoints(organization), Some(wanted)).await
    }

    /// Changes an endpoint.
    pub async fn update_webhook_endpoint(
        &self,
        organization: &str,
        id: &str,
        change: &UpdateWebhookEndpoint,
    ) -> Result<WebhookEndpoint, CallError> {
        let answer =
            self.once::<WebhookEndpointAnswer>(Method::PATCH, &endpoint(organization, id, None), Some(change)).await?;
        Ok(answer.webhook_endpoint)
    }

    /// Deletes an endpoint.
    pub async fn delete_webhook_endpoint(&self, organization: &str, id: &str) -> Result<(), CallError> {
        let path = endpoint(organization, id, None);
        self.once::<Value>(Method::DELETE, &path, NOTHING).await.map(|_| ())
    }

    /// Replaces an endpoint's secret; the new one is returned only once.
    pub async fn rotate_webhook_secret(
        &self,
        organization: &str,
        id: &str,
    ) -> Result<WebhookEndpointAnswer, CallError> {
        let path = endpoint(organization, id, Some("rotate-secret"));
        self.once(Method::POST, &path, NOTHING).await
    }

    /// An endpoint's deliveries, newest first.
    pub async fn webhook_deliveries(
        &self,
        organization: &str,
        id: &str,
        limit: u32,
    ) -> Result<Vec<WebhookDelivery>, CallError> {
        let (path, limit) = (endpoint(organization, id, Some("deliveries")), limit.to_string());
        Ok(self.get::<WebhookDeliveryList>(&path, &[("limit", &limit)]).await?.deliveries)
    }

    /// Sends an endpoint a test event. An extension to the API contract.
    pub async fn test_webhook_endpoint(&self, organization: &str, id: &str) -> Result<WebhookDelivery, CallError> {
        let path = endpoint(organization, id, Some("test"));
        Ok(self.once::<WebhookDeliveryAnswer>(Method::POST, &path, NOTHING).await?.delivery)
    }

    /// A project's integrations.
    pub async fn integrations(&self, project: &str) -> Result<Vec<Integration>, CallError> {
        Ok(self.get::<IntegrationList>(&["v1", "projects", project, "integrations"], &[]).await?.integrations)
    }

    /// Connects a project to a provider, or changes the settings.
    pub async fn connect_integration(
        &self,
        project: &str,
        provider: &str,
        wanted: &ConnectIntegration,
    ) -> Result<(), CallError> {
        self.once::<Value>(Method::PUT, &["v1", "projects", project, "integrations", provider], Some(wanted))
            .await
            .map(|_| ())
    }

    /// Disconnects a project from a provider.
    pub async fn disconnect_integration(&self, project: &str, provider: &str) -> Result<(), CallError> {
        let path = ["v1", "projects", project, "integrations", provider];
        self.once::<Value>(Method::DELETE, &path, NOTHING).await.map(|_| ())
    }
}

fn endpoints(organization: &str) -> [&str; 4] {
    ["v1", "organizations", organization, "webhook-endpoints"]
}

fn endpoint<'a>(organization: &'a str, id: &'a str, what: Option<&'a str>) -> Vec<&'a str> {
    endpoints(organization).into_iter().chain([id]).chain(what).collect()
}
