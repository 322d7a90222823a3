//! Label values that are known before anything was counted.
//!
//! Every such counter is there from the start: alerts ask how much a counter has grown, and one that begins
//! with its first failure has not.

use prometheus::IntCounterVec;

use super::limit::Limit;
use super::metrics::Meters;

/// How reloads, and looks at certificates in files, end.
pub const RESULTS: [&str; 2] = ["ok", "failed"];
/// How orders for certificates end.
pub const ORDERS: [&str; 2] = ["issued", "failed"];
/// How logins are proved.
pub const METHODS: [&str; 1] = ["password"];
/// How they end.
pub const LOGINS: [&str; 5] = ["ok", "refused", "throttled", "busy", "error"];
/// What logins are refused by.
pub const BUDGETS: [&str; 4] = ["pair", "origin", "account", "everybody"];
/// How tunnels end.
pub const TUNNEL_ENDS: [&str; 4] = ["closed", "cut", "idle", "broken"];
/// What is sent to others.
pub const MESSAGES: [&str; 2] = ["mail", "hook"];
/// What comes of trying to.
pub const ATTEMPTS: [&str; 3] = ["sent", "retried", "given_up"];

/// Begins to count, from nothing.
pub(super) fn begin(meters: &Meters) {
    each(&meters.config_reloads, &RESULTS);
    each(&meters.certificates, &RESULTS);
    each(&meters.acme_orders, &ORDERS);
    each(&meters.lockouts, &BUDGETS);
    each(&meters.tunnels_ended, &TUNNEL_ENDS);
    each(&meters.limit_refusals, &Limit::ALL.map(Limit::as_str));
    pairs(&meters.logins, &METHODS, &LOGINS);
    pairs(&meters.outbox_sent, &MESSAGES, &ATTEMPTS);
}

fn each(counters: &IntCounterVec, values: &[&str]) {
    for value in values {
        counters.with_label_values(&[*value]);
    }
}

fn pairs(counters: &IntCounterVec, first: &[&str], second: &[&str]) {
    for one in first {
        for other in second {
            counters.with_label_values(&[*one, *other]);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::telemetry::metrics::Metrics;

    #[test]
    fn what_alerts_ask_for_is_there_before_it_happens() {
        let text = Metrics::new().unwrap().render([]).unwrap();
        let text = String::from_utf8(text).unwrap();
        for counter in [
            r#"config_reloads_total{result="ok"}"#,
            r#"config_reloads_total{result="failed"}"#,
            r#"certificate_changes_total{result="failed"}"#,
            r#"acme_orders_total{result="failed"}"#,
            r#"logins_total{method="password",result="ok"}"#,
            r#"logins_total{method="password",result="throttled"}"#,
            r#"lockouts_total{kind="pair"}"#,
            r#"lockouts_total{kind="everybody"}"#,
            r#"tunnels_ended_total{reason="broken"}"#,
            r#"limit_refusals_total{limit="resets"}"#,
            r#"outbox_sent_total{kind="mail",result="given_up"}"#,
        ] {
            let line = format!("portcullis_{counter} 0\n");
            assert!(text.contains(&line), "{counter}: {text}");
        }
    }
}
