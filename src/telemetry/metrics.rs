//! Prometheus metrics. Labels come from closed sets (rule, verdict, reason, upstream), never from a request.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{
    Encoder, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::base::time::Timestamp;

use super::known;
use super::limit::Limit;

/// Every metric of the gateway. Clones share the counters, and cost one count.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Meters>);

/// The metrics themselves.
#[derive(Debug)]
pub struct Meters {
    registry: Registry,
    /// Requests by rule, verdict and status class.
    pub requests: IntCounterVec,
    /// Whole request, by upstream.
    pub request_duration: HistogramVec,
    /// Our own share of it.
    pub gate_duration: Histogram,
    /// Denials by rule and reason.
    pub denials: IntCounterVec,
    /// Requests refused before any rule was read, by reason.
    pub refusals: IntCounterVec,
    /// What reporting rules would have said.
    pub report_only: IntCounterVec,
    /// Logins by method and result.
    pub logins: IntCounterVec,
    /// Logins refused by a budget, by which.
    pub lockouts: IntCounterVec,
    /// Tokens handed out, by grant.
    pub tokens_issued: IntCounterVec,
    /// Live sessions, as last counted.
    pub sessions_active: IntGauge,
    /// Passwords waiting to be hashed.
    pub password_queue: IntGauge,
    /// Reloads by result.
    pub config_reloads: IntCounterVec,
    /// Certificates that changed in their files, by result.
    pub certificates: IntCounterVec,
    /// When what is in force of certificates comes to its end, by kind and name.
    pub certificate_expiry: IntGaugeVec,
    /// Orders for certificates, by result.
    pub acme_orders: IntCounterVec,
    /// Lines of the log that nobody read in time, or that could not be written.
    pub log_lines_lost: IntCounter,
    /// How far our clock is ahead of that of the shared database, in seconds.
    pub clock_ahead: Gauge,
    /// When the configuration in force was loaded.
    pub config_last_success: Gauge,
    /// Time spent in the store, by operation.
    pub store_duration: HistogramVec,
    /// Open connections.
    pub connections: IntGauge,
    /// Connections closed before they became a request, by reason.
    pub connections_refused: IntCounterVec,
    /// What clients were refused, or cut off from, because a limit was reached.
    pub(super) limit_refusals: IntCounterVec,
    /// Open tunnels.
    pub tunnels: IntGauge,
    /// Tunnels that were open, by how they ended.
    pub tunnels_ended: IntCounterVec,
    /// Messages that wait to be sent, by kind and state, as last counted.
    pub outbox_messages: IntGaugeVec,
    /// Attempts to send a message, by kind and result.
    pub outbox_sent: IntCounterVec,
    /// Requests that failed at an upstream and could have been sent again, by what became of that.
    pub upstream_retries: IntCounterVec,
}

/// Metrics could not be registered: two of one name, which is a mistake in this file.
#[derive(Debug, thiserror::Error)]
#[error("metrics: {0}")]
pub struct MetricsFault(#[from] prometheus::Error);

/// From 10 µs to 10 s: our own share lies at the lower end, upstreams at the upper.
const BUCKETS: [f64; 13] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0,
];

impl Metrics {
    /// Registers every metric.
    ///
    /// # Errors
    /// Only if two have one name.
    #[expect(clippy::too_many_lines, reason = "a table: one metric after the other")]
    pub fn new() -> Result<Self, MetricsFault> {
        let registry = Registry::new();
        let meters = Meters {
            requests: counters(
                "requests_total",
                "Requests by rule, verdict and status.",
                &["rule", "verdict", "status"],
            )?,
            request_duration: histograms(
                "request_duration_seconds",
                "Whole requests, by upstream.",
                "upstream",
            )?,
            gate_duration: Histogram::with_opts(
                HistogramOpts::new(
                    "portcullis_gate_duration_seconds",
                    "The gateway's own share of a request.",
                )
                .buckets(BUCKETS.to_vec()),
            )?,
            denials: counters(
                "denials_total",
                "Denials by rule and reason.",
                &["rule", "reason"],
            )?,
            refusals: counters(
                "refusals_total",
                "Requests refused before any rule was read.",
                &["reason"],
            )?,
            report_only: counters(
                "report_only_total",
                "What reporting rules would have said.",
                &["rule", "would"],
            )?,
            logins: counters(
                "logins_total",
                "Logins by method and result.",
                &["method", "result"],
            )?,
            lockouts: counters("lockouts_total", "Logins refused by a budget.", &["kind"])?,
            tokens_issued: counters(
                "tokens_issued_total",
                "Pairs of tokens handed out, by grant.",
                &["grant"],
            )?,
            sessions_active: IntGauge::new("portcullis_sessions_active", "Live sessions.")?,
            password_queue: IntGauge::new(
                "portcullis_password_queue",
                "Passwords waiting to be hashed.",
            )?,
            config_reloads: counters("config_reloads_total", "Reloads by result.", &["result"])?,
            certificates: counters(
                "certificate_changes_total",
                "Certificates that changed in their files, by whether they were taken over.",
                &["result"],
            )?,
            certificate_expiry: IntGaugeVec::new(
                Opts::new(
                    "portcullis_certificate_expiry_timestamp_seconds",
                    "When a certificate in force ends, since the epoch: shown ones by their first name, client_ca, crl; upstream, upstream_ca by that of the upstream.",
                ),
                &["kind", "name"],
            )?,
            acme_orders: counters(
                "acme_orders_total",
                "Orders for certificates, by how they ended.",
                &["result"],
            )?,
            log_lines_lost: IntCounter::new(
                "portcullis_log_lines_lost_total",
                "Lines of the log that were lost because nobody read it fast enough or they could not be written.",
            )?,
            clock_ahead: Gauge::new(
                "portcullis_clock_ahead_seconds",
                "How far the clock is ahead of that of the shared database; 0 where it is not shared.",
            )?,
            config_last_success: Gauge::new(
                "portcullis_config_last_reload_success_timestamp_seconds",
                "When the configuration in force was loaded.",
            )?,
            store_duration: histograms(
                "store_duration_seconds",
                "Time spent in the store.",
                "operation",
            )?,
            connections: IntGauge::new("portcullis_connections", "Open connections.")?,
            connections_refused: counters(
                "connections_refused_total",
                "Connections closed early.",
                &["reason"],
            )?,
            limit_refusals: counters(
                "limit_refusals_total",
                "Clients refused or cut off because a limit was reached, by which.",
                &["limit"],
            )?,
            tunnels: IntGauge::new("portcullis_tunnels", "Open WebSockets.")?,
            tunnels_ended: counters(
                "tunnels_ended_total",
                "WebSockets that were open, by how they ended.",
                &["reason"],
            )?,
            outbox_messages: IntGaugeVec::new(
                Opts::new(
                    "portcullis_outbox_messages",
                    "Mails and webhooks that wait to be sent.",
                ),
                &["kind", "state"],
            )?,
            outbox_sent: counters(
                "outbox_sent_total",
                "Attempts to send a mail or webhook, by how they ended.",
                &["kind", "result"],
            )?,
            upstream_retries: counters(
                "upstream_retries_total",
                "Requests that failed and could be sent again: sent, or over_budget.",
                &["upstream", "result"],
            )?,
            registry,
        };
        meters.register()?;
        known::begin(&meters);
        Ok(Self(Arc::new(meters)))
    }

    /// Everything in the text exposition format, with the servers of upstreams as they are just now: upstream,
    /// address, and whether requests go there. Of a server that is gone nothing is left to show.
    ///
    /// # Errors
    /// When a metric cannot be encoded.
    pub fn render<'a>(
        &self,
        servers: impl IntoIterator<Item = (&'a str, &'a str, bool)>,
    ) -> Result<Vec<u8>, MetricsFault> {
        let healthy = Opts::new(
            "portcullis_upstream_healthy",
            "Whether requests go to a server, by upstream and address.",
        );
        let healthy = IntGaugeVec::new(healthy, &["upstream", "address"])?;
        for (upstream, address, well) in servers {
            let labels = [upstream, address];
            healthy.with_label_values(&labels).set(i64::from(well));
        }
        let mut families = self.registry.gather();
        let shown = prometheus::core::Collector::collect(&healthy);
        // A family of nothing, as where all is answered by us, cannot be written down.
        families.extend(shown.into_iter().filter(|one| !one.get_metric().is_empty()));
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text)?;
        Ok(text)
    }

    /// Counts a connection for as long as it lasts, however it ends.
    #[must_use = "it counts until it is dropped"]
    pub fn connected(&self) -> Connected {
        self.connections.inc();
        Connected(self.connections.clone())
    }

    /// Counts what a client was refused, or cut off from, because a limit was reached.
    pub fn refused(&self, limit: Limit) {
        self.limit_refusals
            .with_label_values(&[limit.as_str()])
            .inc();
    }

    /// Notes when the configuration in force was loaded.
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds since the epoch fit a double for 285,000 years"
    )]
    pub fn loaded(&self, at: Timestamp) {
        self.config_last_success.set(at.millis() as f64 / 1000.0);
    }

    /// Notes how long a store operation took; what the store is handed to call.
    #[must_use]
    pub fn store_observer(&self) -> Arc<dyn Fn(&'static str, Duration) + Send + Sync> {
        let histogram = self.store_duration.clone();
        Arc::new(move |operation, took| {
            histogram
                .with_label_values(&[operation])
                .observe(took.as_secs_f64());
        })
    }
}

/// An open connection, counted.
#[derive(Debug)]
pub struct Connected(IntGauge);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Meters {
    fn register(&self) -> Result<(), prometheus::Error> {
        let build = Opts::new("portcullis_build_info", "The version that runs.");
        let build = IntGaugeVec::new(build, &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let process = prometheus::process_collector::ProcessCollector::for_self();
        let all: [Box<dyn prometheus::core::Collector>; 29] = [
            Box::new(self.requests.clone()),
            Box::new(self.request_duration.clone()),
            Box::new(self.gate_duration.clone()),
            Box::new(self.denials.clone()),
            Box::new(self.refusals.clone()),
            Box::new(self.report_only.clone()),
            Box::new(self.logins.clone()),
            Box::new(self.lockouts.clone()),
            Box::new(self.tokens_issued.clone()),
            Box::new(self.sessions_active.clone()),
            Box::new(self.password_queue.clone()),
            Box::new(self.config_reloads.clone()),
            Box::new(self.certificates.clone()),
            Box::new(self.certificate_expiry.clone()),
            Box::new(self.acme_orders.clone()),
            Box::new(self.log_lines_lost.clone()),
            Box::new(self.clock_ahead.clone()),
            Box::new(self.config_last_success.clone()),
            Box::new(self.store_duration.clone()),
            Box::new(self.connections.clone()),
            Box::new(self.connections_refused.clone()),
            Box::new(self.limit_refusals.clone()),
            Box::new(self.tunnels.clone()),
            Box::new(self.tunnels_ended.clone()),
            Box::new(self.outbox_messages.clone()),
            Box::new(self.outbox_sent.clone()),
            Box::new(self.upstream_retries.clone()),
            Box::new(build),
            Box::new(process),
        ];
        all.into_iter()
            .try_for_each(|metric| self.registry.register(metric))
    }
}

impl std::ops::Deref for Metrics {
    type Target = Meters;

    fn deref(&self) -> &Meters {
        &self.0
    }
}

fn counters(name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
    IntCounterVec::new(Opts::new(format!("portcullis_{name}"), help), labels)
}

fn histograms(name: &str, help: &str, label: &str) -> Result<HistogramVec, prometheus::Error> {
    HistogramVec::new(
        HistogramOpts::new(format!("portcullis_{name}"), help).buckets(BUCKETS.to_vec()),
        &[label],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_registers_and_renders() {
        let metrics = Metrics::new().unwrap();
        metrics
            .requests
            .with_label_values(&["GET /", "allow", "200"])
            .inc();
        let text =
            String::from_utf8(metrics.render([("web", "10.0.0.1:80", false)]).unwrap()).unwrap();
        assert!(
            text.contains(
                r#"portcullis_requests_total{rule="GET /",status="200",verdict="allow"} 1"#
            )
        );
        assert!(text.contains("portcullis_build_info") && text.contains("process_"));
        assert!(text.contains(r#"portcullis_limit_refusals_total{limit="resets"} 0"#));
        let text = String::from_utf8(metrics.render([]).unwrap()).unwrap();
        assert!(!text.contains("upstream_healthy"));
    }
}
