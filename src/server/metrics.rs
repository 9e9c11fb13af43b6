//! Metrics in the Prometheus text format. Counters cover this process; the queue is read from the
//! metadata at every scrape.

use super::metadata::{DeliveryError, Store};
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
    /// The route, without ids.
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

/// How an attempt at a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AttemptOutcome {
    /// The job completed.
    Completed,
    /// The job failed.
    Failed,
    /// The worker had to stop, and the job is back in the queue.
    Released,
    /// Another worker holds the job.
    LeaseLost,
    /// The outcome is not known yet: the lease expires, and the next attempt determines it.
    Unresolved,
}

impl AttemptOutcome {
    /// The value of the `outcome` label in the metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Released => "released",
            Self::LeaseLost => "lost",
            Self::Unresolved => "unresolved",
        }
    }
}

type Seconds = Gauge<f64, AtomicU64>;

/// The metrics of one process.
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
        registry.register("http_requests", "HTTP requests handled", metrics.calls.clone());
        let seconds = Unit::Seconds;
        let about = "Duration of HTTP requests";
        registry.register_with_unit("http_request_duration", about, seconds.clone(), metrics.call_seconds.clone());
        registry.register("queue_claims", "Queue polls, by whether a job was found", metrics.claims.clone());
        registry.register("jobs", "Finished attempts at jobs", metrics.jobs.clone());
        let about = "Duration of attempts at jobs";
        registry.register_with_unit("job_duration", about, seconds.clone(), metrics.job_seconds.clone());
        registry.register("webhook_attempts", "Attempts to deliver webhooks", metrics.deliveries.clone());
        registry.register("integration_attempts", "Attempts to push connection strings", metrics.pushes.clone());
        registry.register("queue_jobs", "Jobs pending or running, across all processes", metrics.queue.clone());
        let about = "Age of the oldest job that is pending or running";
        registry.register_with_unit("queue_oldest", about, seconds, metrics.oldest.clone());
        Self { registry, ..metrics }
    }

    pub(super) fn request_handled(&self, method: &str, path: &str, status: u16, took: Duration) {
        let labels = CallLabels { method: method.to_owned(), path: path.to_owned(), status };
        self.calls.get_or_create(&labels).inc();
        self.call_seconds.observe(took.as_secs_f64());
    }

    /// Counts a poll of the queue.
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

    /// All metrics as text.
    pub(super) async fn encode_text(&self, store: &Store) -> anyhow::Result<String> {
        // The other metrics matter most while the metadata is down.
        let queue = store.queue().await.unwrap_or_else(|error| {
            tracing::error!("cannot read the queue for the metrics: {error:#}");
            Vec::new()
        });
        self.queue.clear();
        self.oldest.clear();
        for queued in queue {
            let labels = QueueLabels { kind: queued.kind, state: queued.state };
            self.queue.get_or_create(&labels).set(queued.jobs);
            self.oldest.get_or_create(&labels).set(queued.oldest);
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn error_label(error: &DeliveryError) -> &'static str {
    if error.permanent { "given_up" } else { "failed" }
}
