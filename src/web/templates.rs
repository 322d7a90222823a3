//! The pages' templates: our own, or those of a folder, compiled and tried before they are in force.
//!
//! Everything put into them is escaped. A folder replaces them one by one, by names from a list that is closed: no
//! path leads out of it, and a file that is none of them is told. Each is filled in with samples when it is
//! loaded, so that one that is wrong is found then, and not when somebody wants to log in.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde_json::{Map, Value, json};

use super::error::Problem;

/// All templates. Clones share them.
#[derive(Clone, Debug)]
pub struct Templates(Arc<Environment<'static>>);

/// What is wrong with a template.
#[derive(Debug, thiserror::Error)]
pub enum TemplateFault {
    /// The folder or a file in it cannot be read.
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, std::io::Error),
    /// A file is far too long to be a page.
    #[error("{0} is larger than 256KiB")]
    TooLarge(PathBuf),
    /// A template is malformed, or uses what its page does not have.
    #[error("{place}: {what}")]
    Broken {
        /// The file, and the line where it is known.
        place: String,
        /// What the template engine says.
        what: String,
    },
}

macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("templates/", $name)))),*]
    };
}

/// Every template there is.
const ALL: [(&str, &str); 25] = embedded![
    "account-delete.html",
    "account-email.html",
    "account-password.html",
    "account.html",
    "admin-delete.html",
    "admin-invitations.html",
    "admin-permissions.html",
    "admin-policy.html",
    "admin-role.html",
    "admin-roles.html",
    "admin-sessions.html",
    "admin-user-new.html",
    "admin-user.html",
    "admin-users.html",
    "admin.html",
    "base.html",
    "echo.html",
    "forgot-password.html",
    "forms.html",
    "login.html",
    "message.html",
    "register.html",
    "reset-password.html",
    "tables.html",
    "verify.html",
];

/// What pages are tried with: for each, at least one example of everything it may show.
const SAMPLES: &str = include_str!("templates/samples.json");

/// No page is longer.
const MAX_BYTES: u64 = 256 * 1024;

impl Default for Templates {
    fn default() -> Self {
        let mut environment = Environment::new();
        for (name, source) in ALL {
            // Our own are tried by a test; one that did not compile would be missed when it is asked for.
            if let Err(error) = environment.add_template(name, source) {
                tracing::error!(%error, template = name, "an embedded template is malformed");
            }
        }
        Self(Arc::new(environment))
    }
}

impl Templates {
    /// Compiles the templates, those of `folder` before our own, and tries each.
    ///
    /// # Errors
    /// When a file cannot be read, or a template is malformed or uses what its page does not have.
    pub fn load(folder: &Path) -> Result<Self, TemplateFault> {
        let mut environment = Environment::new();
        let mut own = Vec::new();
        for (name, embedded) in ALL {
            let source = read(&folder.join(name))?;
            if source.is_some() {
                own.push(name);
            }
            let added =
                environment.add_template_owned(name, source.unwrap_or_else(|| embedded.to_owned()));
            added.map_err(|error| broken(folder, name, &error))?;
        }
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        try_all(&environment, folder)?;
        // What no sample showed is left out, where people are waiting for the page.
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        tracing::debug!(templates = ?own, "templates were replaced");
        Ok(Self(Arc::new(environment)))
    }

    /// Files of a folder that replace nothing: most likely misspelled.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn strangers(folder: &Path) -> Result<Vec<String>, TemplateFault> {
        let fault = |error| TemplateFault::Read(folder.to_owned(), error);
        let mut strangers = Vec::new();
        for entry in fs::read_dir(folder).map_err(fault)? {
            let name = entry.map_err(fault)?.file_name();
            let name = name.to_string_lossy();
            let known = ALL.iter().any(|(known, _)| *known == name);
            if name.ends_with(".html") && !known {
                strangers.push(name.into_owned());
            }
        }
        strangers.sort();
        Ok(strangers)
    }

    /// A page.
    pub fn page(&self, status: StatusCode, name: &str, values: &Value) -> Response {
        let values = Serde(values);
        let rendered = self
            .0
            .get_template(name)
            .and_then(|template| template.render(values));
        match rendered {
            Ok(html) => (status, Html(html)).into_response(),
            Err(error) => {
                tracing::error!(%error, template = name, "a page could not be rendered");
                Problem::internal().into()
            }
        }
    }
}

fn read(path: &Path) -> Result<Option<String>, TemplateFault> {
    let fault = |error| TemplateFault::Read(path.to_owned(), error);
    let file = match fs::File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(fault)?,
    };
    let mut text = String::new();
    file.take(MAX_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(fault)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(TemplateFault::TooLarge(path.to_owned()));
    }
    Ok(Some(text))
}

fn try_all(environment: &Environment<'_>, folder: &Path) -> Result<(), TemplateFault> {
    for (name, values) in samples() {
        let filled = environment
            .get_template(&name)
            .and_then(|template| template.render(Serde(&values)));
        filled.map_err(|error| broken(folder, &name, &error))?;
    }
    Ok(())
}

/// The name of a page, and values for it: one item for each sample.
fn samples() -> Vec<(String, Value)> {
    let mut all: Map<String, Value> = serde_json::from_str(SAMPLES).unwrap_or_default();
    let common = all.remove("common").unwrap_or_default();
    let mut samples = Vec::new();
    for (name, list) in all {
        for own in list.as_array().into_iter().flatten() {
            samples.push((name.clone(), merged(common.clone(), own.clone())));
        }
    }
    samples
}

/// One object of two; what the second says counts.
#[must_use]
pub fn merged(first: Value, second: Value) -> Value {
    match (first, second) {
        (Value::Object(mut first), Value::Object(second)) => {
            first.extend(second);
            Value::Object(first)
        }
        _ => json!({}),
    }
}

fn broken(folder: &Path, name: &str, error: &minijinja::Error) -> TemplateFault {
    // What an included template did wrong is told of that one.
    let mut cause = error;
    while let Some(inner) = std::error::Error::source(cause).and_then(|e| e.downcast_ref()) {
        cause = inner;
    }
    let path = folder.join(cause.name().unwrap_or(name));
    let what = match cause.detail() {
        Some(detail) => format!("{}: {detail}", cause.kind()),
        None => cause.kind().to_string(),
    };
    let line = cause.line().map(|line| format!(":{line}"));
    let place = format!("{}{}", path.display(), line.unwrap_or_default());
    TemplateFault::Broken { place, what }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, text: &str) {
        fs::write(folder.join(name), text).unwrap();
    }

    #[test]
    fn every_page_has_samples_and_shows_them() {
        let empty = tempfile::tempdir().unwrap();
        Templates::load(empty.path()).unwrap();
        let sampled: Vec<String> = samples().into_iter().map(|(name, _)| name).collect();
        let parts = ["admin.html", "base.html", "forms.html", "tables.html"];
        for (name, _) in ALL {
            let tried = sampled.iter().any(|sampled| sampled == name);
            assert_eq!(tried, !parts.contains(&name), "{name}");
        }
    }

    /// The same value with every text replaced.
    fn hostile(value: &mut Value, evil: &str) {
        match value {
            Value::String(text) => evil.clone_into(text),
            Value::Array(items) => items.iter_mut().for_each(|item| hostile(item, evil)),
            Value::Object(fields) => fields.values_mut().for_each(|field| hostile(field, evil)),
            _ => {}
        }
    }

    #[test]
    fn x_02_x_03_whatever_is_shown_is_text() {
        let templates = Templates::default();
        let evil = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}";
        for (name, mut values) in samples() {
            hostile(&mut values, evil);
            let template = templates.0.get_template(&name).unwrap();
            let values = Serde(&values);
            let html = template.render(values).unwrap();
            assert!(html.contains("&lt;script&gt;"), "{name}");
            for live in ["<script", "<img src=x", ">49<", " style=", "onclick"] {
                assert!(!html.contains(live), "{live} in {name}: {html}");
            }
            // Nothing broke out of an attribute: outside of quotes no handler stands in any tag.
            for tag in html.split('<').skip(1) {
                let unquoted: String = tag.split('"').step_by(2).collect();
                let tag = unquoted.split('>').next().unwrap_or_default();
                assert!(!tag.contains("onerror"), "{name}: <{tag}>");
            }
        }
    }

    #[test]
    fn x_07_templates_are_replaced_one_by_one() {
        let folder = tempfile::tempdir().unwrap();
        write(
            folder.path(),
            "login.html",
            "{% extends 'base.html' %}{% block main %}<h1>Ours</h1>{% endblock %}",
        );
        write(folder.path(), "logn.html", "");
        let templates = Templates::load(folder.path()).unwrap();
        let render = |name: &str| {
            let (_, values) = samples().into_iter().find(|(it, _)| it == name).unwrap();
            let values = Serde(&values);
            templates.0.get_template(name).unwrap().render(values)
        };
        assert!(render("login.html").unwrap().contains("<h1>Ours</h1>"));
        assert!(render("forgot-password.html").unwrap().contains("Forgot"));
        assert_eq!(Templates::strangers(folder.path()).unwrap(), ["logn.html"]);
    }

    #[test]
    fn x_07_a_broken_template_is_told_with_its_line() {
        let cases = [
            ("login.html", "<p>\n{% if %}", "login.html:2: syntax error"),
            (
                "login.html",
                "a\nb {{ nobody.knows }}",
                "login.html:2: undefined value",
            ),
            (
                "login.html",
                "{{ errror }}",
                "login.html:1: undefined value",
            ),
            (
                "base.html",
                "\n\n{% block main %}{{ usr }}{% endblock %}{% block x %}",
                "base.html:3",
            ),
            (
                "message.html",
                "{% include '../../../../etc/passwd' %}",
                "message.html:1: template not found",
            ),
            (
                "message.html",
                "{% extends '/etc/passwd' %}",
                "message.html:1: template not found",
            ),
        ];
        for (name, text, said) in cases {
            let folder = tempfile::tempdir().unwrap();
            write(folder.path(), name, text);
            let fault = Templates::load(folder.path()).unwrap_err().to_string();
            let told = fault.strip_prefix(&format!("{}/", folder.path().display()));
            assert!(told.is_some_and(|told| told.starts_with(said)), "{fault}");
        }
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "login.html", &"x".repeat(300_000));
        let fault = Templates::load(folder.path()).unwrap_err();
        assert!(matches!(fault, TemplateFault::TooLarge(_)), "{fault}");
    }
}
