//! `decide` alone: selection and judgement at 10, 100, 1,000 and 10,000 rules.
//!
//! The asked path matches the last rule but one, with filler of every kind above it; the cost must not grow
//! in a way that a user could feel.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot be set up should stop"
)]

use std::hint::black_box;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use portcullis::base::id::{PublicId, UserId};
use portcullis::base::identity::{Identity, Method};
use portcullis::base::random::Random;
use portcullis::config::Config;
use portcullis::policy::decide::{Evidence, Verdict, decide};
use portcullis::policy::index::Policy;
use portcullis::policy::readings::{Paths, settle};
use portcullis::policy::target::Target;

fn policy(rules: usize) -> Policy {
    let mut text = String::from(
        "site: http://localhost\nlisten: { http: '127.0.0.1:0', admin: '127.0.0.1:0' }\n\
         upstreams: { web: { to: builtin:echo } }\ndefaults: { to: web, auth: [session] }\nroles: { viewer: [orders:read] }\nrules:\n",
    );
    for at in 0..rules - 2 {
        let line = match at % 4 {
            0 => format!("  - {{ path: /literal/{at}, allow: signed_in }}\n"),
            1 => format!(
                "  - {{ path: /tree/{at}/**, methods: [GET, POST], allow: {{ role: viewer }} }}\n"
            ),
            2 => format!(
                "  - {{ path: /named/{at}/:id/edit, allow: {{ permission: orders:read }} }}\n"
            ),
            _ => format!("  - {{ path: /deep/{at}/**/end, allow: signed_in }}\n"),
        };
        text.push_str(&line);
    }
    text.push_str(
        "  - { path: /app/**, allow: { role: viewer } }\n  - { path: /**, allow: signed_in }\n",
    );
    Config::from_text(&text, Path::new("."), &|_| None)
        .unwrap()
        .policy()
}

fn viewer() -> Evidence {
    let identity = Identity {
        id: UserId(1),
        subject: PublicId::generate(&Random::seeded(1)),
        name: "alice".parse().unwrap(),
        email: None,
        verified: false,
        roles: ["viewer".parse().unwrap()].into(),
        permissions: ["orders:read".parse().unwrap()].into(),
        superuser: false,
        generation: 1,
    };
    Evidence {
        ip: Some(IpAddr::from([10, 0, 0, 1])),
        proof: Some((Method::Session, Arc::new(identity))),
    }
}

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decide");
    let who = viewer();
    for rules in [10, 100, 1_000, 10_000] {
        let policy = policy(rules);
        let target = Target::parse("GET", "localhost".parse().unwrap(), b"/app/orders/17").unwrap();
        group.bench_with_input(
            BenchmarkId::from_parameter(rules),
            &policy,
            |bencher, policy| {
                bencher.iter(|| {
                    let selection =
                        settle(policy, black_box(&target), |_| Paths::default()).unwrap();
                    let decision = decide(&selection, black_box(&who));
                    assert!(matches!(decision.verdict, Verdict::Allow(_)));
                    decision
                });
            },
        );
    }
    group.finish();
    criterion.bench_function("parse a target", |bencher| {
        bencher.iter(|| {
            Target::parse(
                "GET",
                "localhost".parse().unwrap(),
                black_box(b"/app/orders/17?page=2"),
            )
            .unwrap()
        });
    });
}

criterion_group!(benches, bench);
criterion_main!(benches);
