//! `compress:` of a rule: the codings that its answers may have.

use crate::policy::coding::Coding;

use super::raw::{At, Object};
use super::tree::Value;

const HINT: &str = "write true, or those that are wanted: [zstd, brotli, gzip]";

/// The codings, the one that is used among equals first; none where the rule says nothing.
pub fn compress(rule: &Object<'_>) -> Vec<Coding> {
    let codings = rule.get("compress").and_then(|at| match at.value() {
        Value::Bool(true) => Some(Coding::ALL.to_vec()),
        Value::Bool(false) => None,
        Value::List(_) | Value::Text(_) => list(&at),
        _ => at.refuse_with("expected true or a list", HINT),
    });
    codings.unwrap_or_default()
}

fn list(at: &At<'_>) -> Option<Vec<Coding>> {
    let words = Coding::ALL.map(|coding| (coding.as_str(), coding));
    let items = at.list()?;
    if items.is_empty() {
        return at.refuse_with("an empty list compresses nothing", "leave compress: out");
    }
    let mut codings = Vec::new();
    for item in &items {
        match item.choice("coding", &words) {
            Some(coding) if codings.contains(&coding) => {
                item.refuse::<()>("stands here already");
            }
            coding => codings.extend(coding),
        }
    }
    Some(codings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::path::Path;

    fn read(keys: &str) -> Result<Config, String> {
        let text = format!(
            "upstreams: {{ web: {{ to: \"http://web\" }} }}\nrules: [{{ path: /**, to: web, allow: signed_in{keys} }}]\n"
        );
        Config::from_text(&text, Path::new("/nonexistent"), &|_| None)
            .map_err(|report| report.to_string())
    }

    #[test]
    fn off_unless_a_rule_says_so() {
        for (keys, codings) in [
            ("", &[][..]),
            (", compress: false", &[]),
            (", compress: true", &Coding::ALL),
            (", compress: [gzip, zstd]", &[Coding::Gzip, Coding::Zstd]),
        ] {
            assert_eq!(read(keys).unwrap().rules[0].compress, codings, "{keys}");
        }
    }

    #[test]
    fn mistakes() {
        for (keys, fault) in [
            ("[brotly]", "did you mean 'brotli'?"),
            ("[deflate]", "unknown coding: 'deflate'"),
            ("[gzip, gzip]", "stands here already: 'gzip'"),
            ("[]", "an empty list compresses nothing"),
            ("gzip", "write [gzip]"),
            ("6", "expected true or a list: '6'"),
            ("{ level: 9 }", "expected true or a list"),
            ("[{ gzip: 9 }]", "expected text"),
        ] {
            let report = read(&format!(", compress: {keys}")).unwrap_err();
            assert!(report.contains(fault), "{keys}: {report}");
            assert!(report.contains("rules[0].compress"), "{keys}: {report}");
        }
    }
}
