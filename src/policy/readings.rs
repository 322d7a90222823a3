//! Paths with two readings: refused, unless the upstream they would go to asked for them by name and both
//! readings lead to the same rule.

use std::sync::Arc;

use super::index::{Policy, Selection};
use super::path::{CanonicalPath, PathFault};
use super::rule::Rule;
use super::target::Target;

/// Paths with two readings that an upstream opted in to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readings {
    /// `%2F` is forwarded as it came.
    pub encoded_slashes: bool,
    /// `;` is forwarded as it came.
    pub matrix_params: bool,
    /// Paths are judged without regard to case.
    pub fold_case: bool,
}

/// The path could be read in two ways, and the upstream did not ask for that or the readings disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path can be read in two ways")]
pub struct TwoReadings;

type Reading = fn(&CanonicalPath) -> Result<CanonicalPath, PathFault>;

/// Selects the rules for a request, judging every reading that its upstream might take.
///
/// # Errors
/// When the path has readings that the upstream did not opt in to, or that select different rules.
pub fn settle(
    policy: &Policy,
    target: &Target,
    readings: impl Fn(&str) -> Readings,
) -> Result<Selection, TwoReadings> {
    let selection = policy.select(target);
    let marks = target.path().marks();
    let allowed = selection
        .rule
        .as_ref()
        .map_or_else(Readings::default, |rule| readings(&rule.upstream));
    if marks.encoded_slash && !allowed.encoded_slashes || marks.matrix && !allowed.matrix_params {
        return Err(TwoReadings);
    }
    let both: Reading = |path| path.without_matrix()?.with_slashes_decoded();
    let all: [(bool, Reading); 3] = [
        (marks.encoded_slash, CanonicalPath::with_slashes_decoded),
        (marks.matrix, CanonicalPath::without_matrix),
        (marks.encoded_slash && marks.matrix, both),
    ];
    for (_, reading) in all.iter().filter(|(applies, _)| *applies) {
        let path = reading(target.path()).map_err(|_| TwoReadings)?;
        if !same_rule(
            selection.rule.as_ref(),
            policy.select(&target.with_path(path)).rule.as_ref(),
        ) {
            return Err(TwoReadings);
        }
    }
    if allowed.fold_case {
        fold(policy, target, &selection)
    } else {
        Ok(selection)
    }
}

/// An upstream that ignores case is judged by what it would serve: the folded path. Both spellings must go
/// to that upstream.
fn fold(policy: &Policy, target: &Target, as_written: &Selection) -> Result<Selection, TwoReadings> {
    let path = target.path().folded().map_err(|_| TwoReadings)?;
    let folded = policy.select(&target.with_path(path));
    let upstream = |selection: &Selection| {
        selection
            .rule
            .as_ref()
            .map(|rule| Arc::clone(&rule.upstream))
    };
    if upstream(&folded) == upstream(as_written) {
        Ok(folded)
    } else {
        Err(TwoReadings)
    }
}

fn same_rule(a: Option<&Arc<Rule>>, b: Option<&Arc<Rule>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (None, None) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::condition::Condition;
    use crate::policy::decide::tests::{rule, target};

    #[test]
    fn p_04_p_09_p_10_two_readings_must_agree() {
        let to = |upstream: &str, path: &str, allow| Rule {
            upstream: upstream.into(),
            ..rule(path, allow)
        };
        let policy = Policy::new(vec![
            to("old", "/old/admin/**", Condition::SignedIn),
            to("old", "/old/**", Condition::Anyone),
            to("new", "/**", Condition::Anyone),
        ]);
        let readings = |name: &str| match name {
            "old" => Readings {
                encoded_slashes: true,
                matrix_params: true,
                fold_case: true,
            },
            _ => Readings::default(),
        };
        let cases = [
            ("/x%2Fy", None),
            ("/x;a=b", None),
            ("/x%3Ba", None),
            ("/X", Some("/**")),
            ("/old/x%2Fy", Some("/old/**")),
            ("/old/x;a=b/y", Some("/old/**")),
            ("/old/admin%2Fx", None),
            ("/old/x%2F..%2Fadmin", None),
            ("/old/..%2Fx", None),
            ("/old/admin;x/y", None),
            ("/old/;x/admin", None),
            ("/old/x;a%2F../admin", None),
            ("/old/ADMIN/x", Some("/old/admin/**")),
            ("/old/Public", Some("/old/**")),
            ("/OLD/admin", Some("/**")),
        ];
        for (path, expected) in cases {
            let found = settle(&policy, &target("GET", path), readings).ok();
            let label = found
                .as_ref()
                .and_then(|selection| selection.rule.as_ref())
                .map(|rule| &*rule.label);
            assert_eq!(label, expected, "{path}");
        }
    }
}
