//! Numbers for those who watch over the control plane, in the text form of Prometheus. Counters
//! are those of this process; what waits in the queue is asked when somebody looks.

use super::Core;
use super::jobs::worker::AttemptOutcome;
use super::metadata::DeliveryError;
use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    method: String,
    /// As it is routed, without ids.
    path: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct JobLabels {
    kind: String,
    outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabels {
    kind: String,
    state: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PushLabels {
    provider: String,
    outcome: &'static str,
}

type Seconds = Gauge<f64, AtomicU64>;

/// The numbers of one process.
pub(super) struct Metrics {
    registry: Registry,
    calls: Family<CallLabels, Counter>,
    call_seconds: Histogram,
    claims: Family<OutcomeLabel, Counter>,
    jobs: Family<JobLabels, Counter>,
    job_seconds: Histogram,
    deliveries: Family<OutcomeLabel, Counter>,
    pushes: Family<PushLabels, Counter>,
    queue: Family<QueueLabels, Gauge>,
    oldest: Family<QueueLabels, Seconds>,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut registry = Registry::with_prefix("capydb");
        let call_seconds = Histogram::new(exponential_buckets(0.001, 4.0, 9));
        let job_seconds = Histogram::new(exponential_buckets(0.25, 4.0, 10));
        let metrics = Self {
            calls: Family::default(),
            call_seconds,
            claims: Family::default(),
            jobs: Family::default(),
            job_seconds,
            deliveries: Family::default(),
            pushes: Family::default(),
            queue: Family::default(),
            oldest: Family::default(),
            registry: Registry::default(),
        };
        registry.register("http_requests", "Calls that were answered", metrics.calls.clone());
        let seconds = Unit::Seconds;
        let about = "How long calls took";
        registry.register_with_unit("http_request_duration", about, seconds.clone(), metrics.call_seconds.clone());
        registry.register("queue_claims", "Looks for a job, and whether there was one", metrics.claims.clone());
        registry.register("jobs", "Attempts at jobs that are over", metrics.jobs.clone());
        let about = "How long attempts at jobs took";
        registry.register_with_unit("job_duration", about, seconds.clone(), metrics.job_seconds.clone());
        registry.register("webhook_attempts", "Attempts to deliver webhooks", metrics.deliveries.clone());
        registry.register("integration_attempts", "Attempts to push connection strings", metrics.pushes.clone());
        registry.register("queue_jobs", "Jobs that wait or run, of all processes", metrics.queue.clone());
        let about = "Age of the oldest job that waits or runs";
        registry.register_with_unit("queue_oldest", about, seconds, metrics.oldest.clone());
        Self { registry, ..metrics }
    }

    pub(super) fn called(&self, method: &str, path: &str, status: u16, took: Duration) {
        let labels = CallLabels { method: method.to_owned(), path: path.to_owned(), status };
        self.calls.get_or_create(&labels).inc();
        self.call_seconds.observe(took.as_secs_f64());
    }

    /// A worker has looked for a job.
    pub(super) fn claimed(&self, found: bool) {
        self.claims.get_or_create(&OutcomeLabel { outcome: if found { "job" } else { "nothing" } }).inc();
    }

    /// Counts a finished attempt.
    pub(super) fn job_finished(&self, kind: &str, outcome: AttemptOutcome, took: Duration) {
        self.jobs.get_or_create(&JobLabels { kind: kind.to_owned(), outcome: outcome.as_str().to_owned() }).inc();
        self.job_seconds.observe(took.as_secs_f64());
    }

    pub(super) fn delivered(&self, result: &Result<u16, DeliveryError>) {
        let outcome = result.as_ref().map_or_else(error_label, |_| "delivered");
        self.deliveries.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    pub(super) fn pushed(&self, provider: &str, pushed: &Result<String, DeliveryError>) {
        let outcome = pushed.as_ref().map_or_else(error_label, |_| "pushed");
        self.pushes.get_or_create(&PushLabels { provider: provider.to_owned(), outcome }).inc();
    }
}

fn error_label(error: &DeliveryError) -> &'static str {
    if error.permanent { "given_up" } else { "failed" }
}

/// All numbers as text.
pub(super) async fn encode_text(core: &Core) -> anyhow::Result<String> {
    let metrics = &core.metrics;
    // While the metadata is away all other numbers count the more.
    let queue = core.store.queue().await.unwrap_or_else(|error| {
        tracing::error!("the queue cannot be counted: {error:#}");
        Vec::new()
    });
    metrics.queue.clear();
    metrics.oldest.clear();
    for queued in queue {
        let labels = QueueLabels { kind: queued.kind, state: queued.state };
        metrics.queue.get_or_create(&labels).set(queued.jobs);
        metrics.oldest.get_or_create(&labels).set(queued.oldest);
    }
    let mut text = String::new();
    encode(&mut text, &metrics.registry)?;
    Ok(text)
}
