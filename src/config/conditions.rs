//! `allow:` of a rule: a word, or an object whose keys must all hold.

use crate::base::name::RoleName;
use crate::policy::condition::Condition;

use super::raw::{At, Object};
use super::report::nearest;
use super::tree::Value;

/// Reads a condition.
pub fn allow(at: &At<'_>) -> Option<Condition> {
    let words = [
        ("anyone", Condition::Anyone),
        ("signed_in", Condition::SignedIn),
        ("nobody", Condition::Nobody),
    ];
    match at.value() {
        Value::Object(_) => condition(&at.object("condition")?),
        Value::Text(text) => match words.iter().find(|(word, _)| word == text) {
            Some((_, condition)) => Some(condition.clone()),
            None if matches!(
                text.as_str(),
                "everyone" | "everybody" | "public" | "all" | "any"
            ) =>
            {
                at.refuse_with("unknown condition", "did you mean anyone?")
            }
            None if matches!(text.as_str(), "authenticated" | "logged_in") => {
                at.refuse_with("unknown condition", "did you mean signed_in?")
            }
            None if nearest(text, words.iter().map(|(word, _)| *word)).is_none()
                && text.parse::<RoleName>().is_ok() =>
            {
                at.refuse_with(
                    "unknown condition",
                    format!("did you mean {{ role: {text} }}?"),
                )
            }
            None => at.unknown("condition", text, words.iter().map(|(word, _)| *word)),
        },
        _ => at.refuse_with(
            "expected a condition",
            "anyone, signed_in, nobody, or an object like { role: admin }",
        ),
    }
}

fn condition(object: &Object<'_>) -> Option<Condition> {
    let role = |at: &At<'_>| at.parse("a role").map(Condition::Role);
    let permission = |at: &At<'_>| at.parse("a permission").map(Condition::Permission);
    let mut all = Vec::new();
    all.extend(object.get("role").and_then(|at| role(&at)));
    all.extend(object.get("roles").and_then(|at| several(&at, role)));
    all.extend(object.get("permission").and_then(|at| permission(&at)));
    all.extend(
        object
            .get("permissions")
            .and_then(|at| several(&at, permission)),
    );
    all.extend(
        object
            .get("user")
            .and_then(|at| at.parse("a username").map(Condition::User)),
    );
    all.extend(
        object
            .get("verified")
            .and_then(|at| at.boolean().map(Condition::Verified)),
    );
    all.extend(
        object
            .get("any")
            .and_then(|at| items(&at, allow).map(Condition::Any)),
    );
    all.extend(
        object
            .get("not")
            .and_then(|at| allow(&at).map(|inner| Condition::Not(Box::new(inner)))),
    );
    match all.len() {
        0 if object.keys().next().is_none() => object
            .at()
            .refuse_with("an empty condition", "write anyone or signed_in"),
        0 => None,
        1 => all.pop(),
        _ => Some(Condition::All(all)),
    }
}

/// `{ any: [..] }` or `{ all: [..] }`.
fn several(at: &At<'_>, read: impl Fn(&At<'_>) -> Option<Condition>) -> Option<Condition> {
    if matches!(at.value(), Value::List(_) | Value::Text(_)) {
        return at.refuse_with(
            "says neither any nor all",
            "write { any: [a, b] } or { all: [a, b] }",
        );
    }
    let object = at.object("several")?;
    match (object.get("any"), object.get("all")) {
        (Some(any), None) => items(&any, read).map(Condition::Any),
        (None, Some(all)) => items(&all, read).map(Condition::All),
        (Some(_), Some(_)) => at.refuse_with("says both any and all", "write one of the two"),
        (None, None) => at.refuse_with(
            "says neither any nor all",
            "write { any: [a, b] } or { all: [a, b] }",
        ),
    }
}

fn items(at: &At<'_>, read: impl Fn(&At<'_>) -> Option<Condition>) -> Option<Vec<Condition>> {
    let items = at.list()?;
    if items.is_empty() {
        return at.refuse("an empty list");
    }
    let conditions: Vec<_> = items.iter().map(read).collect();
    conditions.into_iter().collect()
}
