//! Which requests a rule speaks for, and what it is called: its `path:`, `methods:`, `host:` and `name:`.

use crate::base::net::Host;
use crate::policy::pattern::Pattern;
use crate::policy::rule::{HostPattern, Mode};
use crate::policy::target::{TargetFault, Verb, Verbs};

use super::raw::At;
use super::rules::Scope;

/// `GET /a/**`, `GET app.test/a/**`, `/a/**`.
pub(super) fn label(
    methods: Verbs,
    host: Option<&HostPattern>,
    path: &Pattern,
    mode: Mode,
) -> String {
    let methods = if methods == Verbs::ALL {
        String::new()
    } else {
        format!("{methods} ")
    };
    let host = host.map(ToString::to_string).unwrap_or_default();
    let mode = if mode == Mode::Report {
        " (report)"
    } else {
        ""
    };
    format!("{methods}{host}{path}{mode}")
}

/// The paths.
pub(super) fn pattern(at: &At<'_>, scope: &Scope<'_>) -> Option<Pattern> {
    let text = at.text()?;
    let pattern = match Pattern::parse(text) {
        Ok(pattern) => pattern,
        Err(error) if text.starts_with('/') => {
            return at.refuse_with("not a path pattern", error.to_string());
        }
        Err(_) => return at.refuse_with("not a path pattern", "a path begins with '/'"),
    };
    // Requests are ours whatever the case of their letters.
    let lower = |text: &str| Pattern::parse(&text.to_ascii_lowercase()).ok();
    let own = lower(&format!("{}/**", scope.prefix))?;
    if own.contains(&pattern) || lower(text).is_some_and(|folded| own.contains(&folded)) {
        return at.refuse_with(
            "can never reach a service: the gateway's own pages are there",
            format!(
                "choose another path, or another prefix than {}",
                scope.prefix
            ),
        );
    }
    let signs = ["{", "<", "^", "|", ")+", ")?", "]+", "[^"];
    if text.ends_with('$') || signs.iter().any(|sign| text.contains(sign)) {
        at.warn(
            "signs that mean something in other languages stand for themselves here",
            "'*' or ':name' is any one segment, '**' any number of them",
        );
    }
    Some(pattern)
}

/// The methods.
pub(super) fn methods(at: &At<'_>) -> Option<Verbs> {
    let items = at.list()?;
    if items.is_empty() {
        return at.refuse_with(
            "an empty list fits no request",
            "leave it out to mean every method",
        );
    }
    let verbs: Vec<_> = items.iter().map(verb).collect();
    verbs.into_iter().collect()
}

fn verb(at: &At<'_>) -> Option<Verb> {
    let text = at.text()?;
    match Verb::parse(text) {
        Ok(verb) => Some(verb),
        Err(TargetFault::MethodRefused) => at.refuse("this method is never served"),
        Err(_) => at.unknown("method", text, Verb::ALL.map(Verb::as_str)),
    }
}

/// The host, or all hosts one label below another.
pub(super) fn host(at: &At<'_>, scope: &Scope<'_>) -> Option<HostPattern> {
    let text = at.text()?;
    let below = text.strip_prefix("*.");
    let Ok(host) = below.unwrap_or(text).parse::<Host>() else {
        return at.refuse_with(
            "not a host",
            "write a name without port, or *.example.com for those one label below",
        );
    };
    let is_ip = host.parent().is_none() && host.as_str().contains(['.', '[']);
    if below.is_some() && is_ip {
        return at.refuse("nothing is below an address");
    }
    if scope.sites.is_some_and(|sites| !sites.main().https) && !host.is_loopback() {
        at.warn(
            "this host is served over plain http, as the main site is",
            "use an https site where others can reach it",
        );
    }
    Some(if below.is_some() {
        HostPattern::Below(host)
    } else {
        HostPattern::Exact(host)
    })
}

/// What logs and metrics call it.
pub(super) fn name(at: &At<'_>) -> Option<String> {
    let text = at.text()?.trim();
    let fits = (1..=80).contains(&text.chars().count()) && !text.contains(char::is_control);
    if fits {
        Some(text.to_owned())
    } else {
        at.refuse("a name has 1 to 80 characters")
    }
}
