//! `rules:` and `defaults:`: each rule on its own, then all of them together.

use std::collections::HashMap;
use std::sync::Arc;

use crate::base::identity::Method;
use crate::base::net::Networks;
use crate::base::site::Sites;
use crate::gate::settings::IdentityHeaders;
use crate::policy::condition::Condition;
use crate::policy::role::Roles;
use crate::policy::rule::{Mode, Rule};
use crate::policy::shadow::shadows;
use crate::policy::target::Verbs;
use crate::proxy::settings::Upstreams;

use super::conditions::allow;
use super::raw::{At, Object};
use super::selectors::{host, label, methods, name, pattern};
use super::tree::Value;
use super::unheld::Given;
use super::{compress, cors, later, streams, values};

/// What rules may refer to.
pub struct Scope<'a> {
    /// The upstreams that are sound.
    pub upstreams: &'a Upstreams,
    /// The names of all upstreams, sound or not.
    pub names: &'a [String],
    /// The public URLs, unless they are wrong.
    pub sites: Option<&'a Sites>,
    /// Where our own pages live.
    pub prefix: &'a str,
    /// The roles of the file.
    pub roles: &'a Roles,
    /// The headers that carry an identity, which no rule may speak for.
    pub headers: &'a IdentityHeaders,
    /// Whether certificates can be shown, or why not.
    pub certificates: Certificates,
}

/// Whether clients can show certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificates {
    /// They are asked for one.
    Asked,
    /// Nobody vouches for any.
    Unknown,
    /// There is no handshake to show one in.
    NoHandshake,
}

struct Defaults {
    to: Option<Arc<str>>,
    auth: Vec<Method>,
}

/// Every rule that is sound, in the order of the file.
pub fn rules(file: &Object<'_>, scope: &Scope<'_>) -> Vec<Rule> {
    let defaults = defaults(file, scope);
    let written = file.require("rules");
    let items = written.as_ref().and_then(At::objects).unwrap_or_default();
    if let Some(at) = written.filter(|at| *at.value() == Value::List(Vec::new())) {
        at.warn(
            "there are no rules, so every request is denied",
            "rules: [{ path: /**, allow: signed_in }]",
        );
    }
    let sound = items
        .iter()
        .filter_map(|at| Some((at, rule(at, scope, &defaults)?)));
    let (places, rules): (Vec<&At<'_>>, Vec<Rule>) = sound.unzip();
    together(&places, &rules, scope);
    warn_of_unused(file, &items, &rules, scope);
    look_at_upstreams_headers(file, &rules, scope);
    warn_of_unused_certificates(file, &items, &rules);
    rules
}

fn defaults(file: &Object<'_>, scope: &Scope<'_>) -> Defaults {
    let object = file.section("defaults", "defaults");
    let get = |key| object.as_ref().and_then(|object| object.get(key));
    if let Some(at) = get("to") {
        upstream(&at, scope);
    }
    Defaults {
        // Wrong or not, it was given: rules without `to` are not to blame.
        to: get("to").map(|at| {
            if let Value::Text(name) = at.value() {
                name.as_str().into()
            } else {
                "".into()
            }
        }),
        auth: get("auth")
            .and_then(|at| auth(&at, scope))
            .unwrap_or_else(|| vec![Method::Session]),
    }
}

fn rule(at: &At<'_>, scope: &Scope<'_>, defaults: &Defaults) -> Option<Rule> {
    let rule = at.reading().sound(|| {
        let object = at.object("rule")?;
        let path = object.require("path").and_then(|at| pattern(&at, scope));
        let allow = object.require("allow").and_then(|at| allow(&at));
        let methods = object
            .get("methods")
            .and_then(|at| methods(&at))
            .unwrap_or(Verbs::ALL);
        let host = object.get("host").and_then(|at| host(&at, scope));
        let mode = object
            .get("mode")
            .and_then(|at| at.choice("mode", &[("report", Mode::Report)]));
        let name = object.get("name").and_then(|at| name(&at));
        let from = object.get("from").and_then(|at| networks(&at));
        let body_limit = object.get("body").and_then(|at| values::size_or_none(&at));
        let auth = object
            .get("auth")
            .and_then(|at| auth(&at, scope))
            .unwrap_or_else(|| defaults.auth.clone());
        let tokens = auth.contains(&Method::Jwt);
        let cors = object.section("cors", "cors");
        let cors = cors.map(|cors| cors::cors(&cors, tokens));
        let (path, mode) = (path, mode.unwrap_or(Mode::Enforce));
        let closed = allow.as_ref() == Some(&Condition::Nobody);
        let upstream = destination(&object, scope, defaults, closed);
        let headers = super::upstreams::headers_of_rule(&object, scope.headers);
        let (idle, origins) = (streams::idle(&object), streams::origins(&object));
        warn_of_idle_origins(&object, &auth);
        let compress = compress::compress(&object);
        // All of it has been read: one fault hides no other.
        let (path, allow, upstream) = (path?, allow?, upstream?);
        refuse_no_method(&object, &auth, &allow);
        if let Some(upstream) = scope.upstreams.get(&upstream) {
            super::upstreams::refuse_unfit(&object, &path, upstream);
        }
        let label = name.unwrap_or_else(|| label(methods, host.as_ref(), &path, mode));
        Some(Rule {
            label: label.into(),
            line: at.line(),
            host,
            path,
            methods,
            upstream,
            from,
            auth,
            allow,
            mode,
            body_limit,
            cors: cors.flatten().map(Arc::new),
            headers,
            idle,
            origins,
            compress,
        })
    });
    rule.flatten()
}

fn networks(at: &At<'_>) -> Option<Networks> {
    match values::networks(at)? {
        none if none.is_empty() => at.refuse_with(
            "an empty list admits nobody",
            "leave it out to admit every address",
        ),
        some => Some(some),
    }
}

fn auth(at: &At<'_>, scope: &Scope<'_>) -> Option<Vec<Method>> {
    if let Value::Object(_) = at.value() {
        return at.not_yet("auth: { all: [..] }");
    }
    let accepted = |at: &At<'_>| match (method(at)?, scope.certificates) {
        (Method::Mtls, Certificates::Unknown) => at.refuse_with(
            "nobody vouches for a certificate",
            "client_certificates: { ca: clients.pem, user: subject.cn }",
        ),
        (Method::Mtls, Certificates::NoHandshake) => at.refuse_with(
            "a certificate is shown over TLS, which no listener speaks",
            "listen: { https: \":443\" }",
        ),
        (method, _) => Some(method),
    };
    let methods: Vec<_> = at.list()?.iter().map(accepted).collect();
    methods.into_iter().collect()
}

/// A way to prove an identity.
pub fn method(at: &At<'_>) -> Option<Method> {
    let text = at.text()?;
    match text.parse() {
        Ok(method) => Some(method),
        Err(()) if later::METHODS.contains(&text) => at.not_yet(text),
        Err(()) => at.unknown("method", text, Method::ALL.map(Method::as_str)),
    }
}

fn destination(
    object: &Object<'_>,
    scope: &Scope<'_>,
    defaults: &Defaults,
    closed: bool,
) -> Option<Arc<str>> {
    match (object.get("to"), &defaults.to) {
        (Some(at), _) => upstream(&at, scope),
        (None, Some(to)) => Some(Arc::clone(to)),
        // What nobody may pass leads nowhere.
        (None, None) if closed => Some("".into()),
        (None, None) => {
            let hint = match scope.names.first() {
                Some(name) => format!(
                    "write to: {name} here, or once for all rules: defaults: {{ to: {name} }}"
                ),
                None => {
                    "name a service first: upstreams: { web: { to: http://web:8080 } }".to_owned()
                }
            };
            object
                .at()
                .refuse_with("'to' is missing, and there is no default", hint)
        }
    }
}

/// The name of an upstream.
pub fn upstream(at: &At<'_>, scope: &Scope<'_>) -> Option<Arc<str>> {
    let text = at.text()?;
    if scope.names.iter().any(|name| name == text) {
        return Some(text.into());
    }
    at.unknown("upstream", text, scope.names.iter().map(String::as_str))
}

/// Only what a browser sends along by itself can be made use of by another page.
fn warn_of_idle_origins(object: &Object<'_>, auth: &[Method]) {
    let by_itself = [Method::Session, Method::Mtls];
    if let Some(at) = object.get("origins")
        && !auth.iter().any(|method| by_itself.contains(method))
    {
        at.warn_around(
            "means nothing here: no page of another origin is kept out where neither a session nor a certificate counts",
            "leave it out, or name them: auth: [session]",
        );
    }
}

fn refuse_no_method(object: &Object<'_>, auth: &[Method], allow: &Condition) {
    if auth.is_empty() && !allow.holds(None) && allow.attainable() {
        let hint =
            "name a method, such as auth: [session], or write allow: anyone or allow: nobody";
        object
            .at()
            .refuse_with::<()>("nobody can prove who they are, so nobody can pass", hint);
    }
}

/// What only shows when rules are held side by side.
fn together(places: &[&At<'_>], rules: &[Rule], scope: &Scope<'_>) {
    let mut dead = Vec::new();
    for shadow in shadows(rules) {
        let (Some(above), Some(below), Some(at)) = (
            rules.get(shadow.above),
            rules.get(shadow.below),
            places.get(shadow.below),
        ) else {
            continue;
        };
        if shadow.total {
            dead.push(shadow.below);
            at.refuse_with::<()>(
                format!("can never match: {above} takes every request of {below}"),
                format!("move it above line {}, or remove it", above.line),
            );
        } else {
            at.warn(
                format!("{above} asks for less and takes some requests of {below}"),
                format!("move it above line {}", above.line),
            );
        }
    }
    refuse_same_label(places, rules, &dead);
    look_at_each(places, rules, scope);
}

/// Metrics and logs tell rules apart by their labels.
fn refuse_same_label(places: &[&At<'_>], rules: &[Rule], dead: &[usize]) {
    let mut lines: HashMap<&str, u64> = HashMap::new();
    for (position, (at, rule)) in places.iter().zip(rules).enumerate() {
        if let Some(line) = lines.insert(&rule.label, rule.line)
            && !dead.contains(&position)
        {
            at.refuse_with::<()>(
                format!("is called '{}', as the rule on line {line} is", rule.label),
                "give it a name: of its own",
            );
        }
    }
}

/// What only shows once a rule has been read as a whole.
fn look_at_each(places: &[&At<'_>], rules: &[Rule], scope: &Scope<'_>) {
    let given = Given::by(scope.roles);
    for (at, rule) in places.iter().zip(rules) {
        given.look_at(at, &rule.allow);
        super::upstreams::look_at_shared(at, rule);
    }
}

fn warn_of_unused(file: &Object<'_>, items: &[At<'_>], rules: &[Rule], scope: &Scope<'_>) {
    // A rule that is not sound may be the one that uses it.
    if items.len() != rules.len() {
        return;
    }
    for entry in file
        .get("upstreams")
        .and_then(|at| at.entries())
        .unwrap_or_default()
    {
        let used = rules.iter().any(|rule| *rule.upstream == *entry.name);
        if !used && scope.upstreams.contains_key(entry.name) {
            entry.at.warn(
                "no rule leads to this upstream",
                "remove it, or name it in a rule",
            );
        }
    }
}

/// What an upstream's answers say is said under every rule that leads to it.
fn look_at_upstreams_headers(file: &Object<'_>, rules: &[Rule], scope: &Scope<'_>) {
    let entries = file.get("upstreams").and_then(|at| at.entries());
    for entry in entries.unwrap_or_default() {
        if scope.upstreams.contains_key(entry.name) {
            // A rule that lets nobody pass, or only reports, has no answers.
            let leads = |rule: &&Rule| *rule.upstream == *entry.name && rule.mode == Mode::Enforce;
            let leading = rules
                .iter()
                .filter(|rule| leads(rule) && rule.allow.attainable());
            super::upstreams::headers_under_rules(&entry.at, &leading.collect::<Vec<_>>());
        }
    }
}

fn warn_of_unused_certificates(file: &Object<'_>, items: &[At<'_>], rules: &[Rule]) {
    let used = |rule: &Rule| rule.auth.contains(&Method::Mtls);
    if let Some(at) = file.get("client_certificates")
        && items.len() == rules.len()
        && !rules.iter().any(used)
    {
        let hint = "auth: [session, mtls]";
        at.warn_around("no rule accepts a certificate", hint);
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
