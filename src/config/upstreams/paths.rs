//! `paths:`, `strip:` and `add:`: what paths an upstream understands and is sent, and which rules fit it.

use crate::config::raw::{At, Object};
use crate::policy::path::{CanonicalPath, by_letters};
use crate::policy::pattern::Pattern;
use crate::policy::rewrite::Prefix;
use crate::proxy::settings::{Readings, Rewrite, Upstream};

/// Paths with two readings that the upstream understands.
pub fn readings(upstream: &Object<'_>) -> Readings {
    let Some(object) = upstream.section("paths", "readings") else {
        return Readings::default();
    };
    let said = |key, word| {
        object
            .get(key)
            .and_then(|at| at.choice("value", &[(word, true)]))
            .unwrap_or(false)
    };
    Readings {
        encoded_slashes: said("encoded_slashes", "allow"),
        matrix_params: said("matrix_params", "allow"),
        fold_case: said("case", "fold"),
    }
}

/// What is cut off and put in front.
pub fn rewrite(upstream: &Object<'_>) -> Rewrite {
    let prefix = |key| upstream.get(key).and_then(|at| prefix(&at));
    Rewrite {
        strip: prefix("strip"),
        add: prefix("add"),
    }
}

fn prefix(at: &At<'_>) -> Option<Prefix> {
    match Prefix::parse(at.text()?) {
        Ok(prefix) => Some(prefix),
        Err(fault) => at.refuse_with(fault.to_string(), "write it like /api or /api/v1"),
    }
}

/// A rule must fit the upstream that it leads to.
pub fn refuse_unfit(rule: &Object<'_>, path: &Pattern, upstream: &Upstream) {
    if upstream.paths.fold_case {
        refuse_upper_case(rule, path);
        refuse_two_folds(rule, path);
    }
    if let Some(strip) = &upstream.rewrite.strip {
        refuse_outside(rule, path, (strip, upstream.paths.fold_case));
    }
}

/// An upstream that ignores case is judged by the folded path.
fn refuse_upper_case(rule: &Object<'_>, path: &Pattern) {
    if path.literals().any(|text| text.to_lowercase() != text) {
        rule.at().refuse_with::<()>(
            "can never match: its upstream has case: fold, so paths are judged in lower case",
            format!("write {}", path.as_str().to_lowercase()),
        );
    }
}

/// What is `ß` to one service and `ss` to another: whoever asks for the second would be judged by another rule than this one.
fn refuse_two_folds(rule: &Object<'_>, path: &Pattern) {
    let folds = |text: &str| (text.to_lowercase(), by_letters(text));
    if let Some((one, other)) = path.literals().map(folds).find(|(one, other)| one != other) {
        rule.at().refuse_with::<()>(
            format!("its upstream has case: fold, and some services take {one} for {other}"),
            "write it with letters that have one capital each",
        );
    }
}

/// Every path of the rule must begin with what is to be cut off: there is nothing else to send.
fn refuse_outside(rule: &Object<'_>, path: &Pattern, (strip, fold): (&Prefix, bool)) {
    let (begins, _) = path.prefix();
    let strip = if fold {
        strip.as_str().to_lowercase()
    } else {
        strip.as_str().to_owned()
    };
    let stripped = CanonicalPath::parse(strip.as_bytes());
    let inside = stripped.is_ok_and(|strip| {
        let mut begins = begins.iter();
        strip
            .segments()
            .all(|part| begins.next() == Some(&Some(part)))
    });
    if !inside {
        rule.at().refuse_with::<()>(
            format!(
                "leads to an upstream that strips {strip}, and its path does not begin with that"
            ),
            format!("write a path like {strip}/**, or name an upstream without strip"),
        );
    }
}
