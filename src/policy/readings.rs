//! Paths with two readings: refused, unless the upstream they would go to asked for them by name and both
//! readings lead to the same rule.

use std::sync::Arc;

use super::beside::with_beside;
use super::index::{Policy, Selection};
use super::path::{CanonicalPath, Marks, PathFault};
use super::rewrite::Rewrite;
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

/// What an upstream makes of paths: how it may read them, and what it is sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Paths<'a> {
    /// How it may read them.
    pub readings: Readings,
    /// What is cut off and put in front, if anything is.
    pub rewrite: Option<&'a Rewrite>,
}

/// The path could be read in two ways, and the upstream did not ask for that or the readings disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path can be read in two ways")]
pub struct TwoReadings;

/// More readings than what honest clients send has.
const MOST_READINGS: usize = 64;

/// Selects the rules for a request, judging every reading that its upstream might take.
///
/// # Errors
/// When the path has readings that the upstream did not opt in to, or that select different rules.
pub fn settle<'a>(
    policy: &Policy,
    target: &Target,
    paths: impl Fn(&str) -> Paths<'a>,
) -> Result<Selection, TwoReadings> {
    let selection = policy.select(target);
    let marks = target.path().marks();
    let Paths {
        readings: allowed,
        rewrite,
    } = selection
        .rule
        .as_ref()
        .map_or_else(Paths::default, |rule| paths(&rule.upstream));
    if marks.encoded_slash && !allowed.encoded_slashes || marks.matrix && !allowed.matrix_params {
        return Err(TwoReadings);
    }
    if marks == Marks::default() && !allowed.fold_case {
        return with_beside(
            policy,
            target,
            selection,
            std::slice::from_ref(target.path()),
            (rewrite, false),
        );
    }
    // A service that ignores case is judged by what it would serve; both spellings must go to it.
    let judged = if allowed.fold_case {
        let path = target.path().folded().map_err(|_| TwoReadings)?;
        policy.select(&target.with_path(path))
    } else {
        selection.clone()
    };
    let upstream = |selection: &Selection| {
        selection
            .rule
            .as_ref()
            .map(|rule| Arc::clone(&rule.upstream))
    };
    if upstream(&judged) != upstream(&selection) {
        return Err(TwoReadings);
    }
    let read = every_reading(target.path(), allowed.fold_case)?;
    for path in &read {
        let other = policy.select(&target.with_path(path.clone()));
        if !same_rule(judged.rule.as_ref(), other.rule.as_ref()) {
            return Err(TwoReadings);
        }
    }
    if let Some(rewrite) = rewrite.filter(|rewrite| !rewrite.is_none()) {
        lead_to_what_was_judged(rewrite, target.path(), &read, allowed.fold_case)?;
    }
    with_beside(policy, target, judged, &read, (rewrite, allowed.fold_case))
}

/// The service reads what it is sent, and not what was judged. With another beginning, a `..` that comes to light in a
/// reading leads elsewhere: `/files/..%2Ffiles/x` is below `/files` again, and `/v1/..%2Ffiles/x` not below `/v1`. So
/// each reading of what is sent must be what one of the judged readings would be sent as.
fn lead_to_what_was_judged(
    rewrite: &Rewrite,
    path: &CanonicalPath,
    read: &[CanonicalPath],
    fold: bool,
) -> Result<(), TwoReadings> {
    // What does not lie below `strip` is not sent at all.
    let Some(sent) = rewrite.apply(path, fold) else {
        return Ok(());
    };
    let mut meant = Vec::new();
    for path in read.iter().filter_map(|path| rewrite.apply(path, fold)) {
        if fold {
            meant.extend([path.folded(), path.folded_by_letters()]);
        } else {
            meant.push(Ok(path));
        }
    }
    let is_meant = |sent: &CanonicalPath| {
        let mut meant = meant.iter().flatten();
        meant.any(|path| path.as_str() == sent.as_str())
    };
    if every_reading(&sent, fold)?.iter().all(is_meant) {
        Ok(())
    } else {
        Err(TwoReadings)
    }
}

/// Every reading of a path by services that decode slashes and cut parameters, in any order and as often
/// as they like.
fn every_reading(path: &CanonicalPath, fold: bool) -> Result<Vec<CanonicalPath>, TwoReadings> {
    let mut found = vec![path.clone()];
    let mut at = 0;
    while let Some(path) = found.get(at).cloned() {
        at += 1;
        let marks = path.marks();
        if marks.encoded_slash {
            add(&mut found, path.with_slashes_decoded())?;
            add(&mut found, path.with_slashes_kept())?;
        }
        if marks.matrix {
            for cut in path.without_matrix().map_err(|_| TwoReadings)? {
                add(&mut found, Ok(cut))?;
            }
        }
        // Each step takes a kind of mark away for good, so that few are needed.
        if found.len() > MOST_READINGS {
            return Err(TwoReadings);
        }
    }
    if !fold {
        return Ok(found);
    }
    // Last: a folded path no longer tells `;` from `%3B`.
    let mut folded = Vec::new();
    for path in found {
        add(&mut folded, path.folded())?;
        add(&mut folded, path.folded_by_letters())?;
    }
    Ok(folded)
}

fn add(
    found: &mut Vec<CanonicalPath>,
    next: Result<CanonicalPath, PathFault>,
) -> Result<(), TwoReadings> {
    let next = next.map_err(|_| TwoReadings)?;
    if found.iter().all(|known| known.as_str() != next.as_str()) {
        found.push(next);
    }
    Ok(())
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
    use crate::policy::rewrite::Prefix;

    const ALL: Readings = Readings {
        encoded_slashes: true,
        matrix_params: true,
        fold_case: true,
    };

    #[test]
    fn p_27_what_is_sent_is_read_as_what_was_judged() {
        let policy = Policy::new(vec![
            rule("/v/v/**", Condition::SignedIn),
            rule("/v/**", Condition::Anyone),
        ]);
        let prefix = |text: &str| (!text.is_empty()).then(|| Prefix::parse(text).unwrap());
        let cases = [
            ("/v", "", "/v/x%2Fy", true),
            ("/v", "", "/v/x;a=b", true),
            ("/v", "/w", "/v/X%2Fy;z", true),
            ("/V", "/w", "/v/x%2Fy", true),
            ("", "/W", "/v/x%2Fy", true),
            ("", "", "/v/..%2Fv%2Fx", false),
            // Below `/v` again as it is judged; as it is sent, above.
            ("/v", "", "/v/..%2Fv%2Fv", false),
            ("/v", "/w", "/v/..%2Fv%2Fx", false),
            ("/v", "/w", "/v/..;/v/x", false),
            ("/v", "/w", "/V/..;a/v/x", false),
            ("/v", "/w", "/v/x/..%2F..%2Fv%2Fx", false),
            ("", "/w", "/v/x%2F..%2Fy", false),
            ("/v", "/w", "/v/x%2F..%2Fy", false),
        ];
        for (strip, add, path, allowed) in cases {
            let rewrite = Rewrite {
                strip: prefix(strip),
                add: prefix(add),
            };
            let paths = |_: &str| Paths {
                readings: ALL,
                rewrite: Some(&rewrite),
            };
            let found = settle(&policy, &target("GET", path), paths);
            assert_eq!(found.is_ok(), allowed, "{path} without {strip}, with {add}");
        }
    }

    #[test]
    fn p_04_p_09_p_10_two_readings_must_agree() {
        let to = |upstream: &str, path: &str, allow| Rule {
            upstream: upstream.into(),
            ..rule(path, allow)
        };
        let policy = Policy::new(vec![
            to("old", "/old/admin/**", Condition::SignedIn),
            to("old", "/old/:id/internal", Condition::SignedIn),
            to("old", "/old/**", Condition::Anyone),
            to("new", "/**", Condition::Anyone),
        ]);
        let paths = |name: &str| Paths {
            readings: if name == "old" {
                ALL
            } else {
                Readings::default()
            },
            rewrite: None,
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
            // Resolved, these are no admin's; as they are, a framework hands them to what lies below `/old/admin`.
            ("/old/admin%2F..", None),
            ("/old/admin%2F..%2Fy", None),
            ("/old/admin%2Fx%2F..%2F..", None),
            ("/old/admin%2F%2F..%2F..%2Fy", None),
            ("/old/%2Fadmin%2F..%2Fy", None),
            ("/old/admin%2F.;a%2F..", None),
            ("/old/x%2F..%2Fy", None),
            ("/old/x%2F.%2Fy", None),
            ("/old/%2Fadmin/y", None),
            ("/old/admin%2F%2Fy", None),
            ("/old/%2F/y", Some("/old/**")),
            ("/old/x%2F", Some("/old/**")),
            ("/old/x/;a", Some("/old/**")),
            ("/old/;x/admin", None),
            ("/old/x;a%2F../admin", None),
            ("/old/ADMIN/x", Some("/old/admin/**")),
            ("/old/Public", Some("/old/**")),
            ("/OLD/admin", Some("/**")),
            ("/old/ADMIN%2Fx", None),
            ("/old/ADMIN;a/x", None),
            ("/old/;x%2Fadmin", None),
            ("/old/x/..;%2Fadmin/", None),
            ("/old/x;%2F..%2Fadmin", None),
            ("/old/X%2Fy;z", Some("/old/**")),
            ("/old/5/internal", Some("/old/:id/internal")),
            ("/old/5;v=1/internal", None),
            // Cut before it is decoded, and after.
            ("/old/%3Bx/internal", None),
            ("/old/%3Bx/internal;y", None),
            ("/old/%3Bx/INTERNAL;y", None),
            ("/old/%3Bx%2Finternal;y", None),
            // Some cut all that follows.
            ("/old/5/internal;x/y", None),
            ("/old/5/internal%3Bx/y", None),
            ("/old/5/x;y%3Bz/w", Some("/old/**")),
            // Some cut some of them, or end the path at one that they know.
            ("/old/;x/internal;y", None),
            ("/old/;x/internal%3By", None),
            ("/old/;x/;jsessionid=1/internal", None),
            ("/old/5;x/internal;y/z", None),
            ("/old/a;x/b;y/c;z/d%2Fe", Some("/old/**")),
            // And keep what is empty.
            ("/old/%2Finternal", None),
            ("/old%2F/internal", None),
            ("/old/%2F/x", Some("/old/**")),
        ];
        for (path, expected) in cases {
            let found = settle(&policy, &target("GET", path), paths).ok();
            let label = found
                .as_ref()
                .and_then(|selection| selection.rule.as_ref())
                .map(|rule| &*rule.label);
            assert_eq!(label, expected, "{path}");
        }
    }
}
