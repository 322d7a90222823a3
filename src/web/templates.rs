//! The pages' templates, embedded and compiled once; everything put into them is escaped.

use std::sync::Arc;

use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;
use minijinja::{Environment, Value};

use super::error::Problem;

/// All templates. Clones share them.
#[derive(Clone, Debug)]
pub struct Templates(Arc<Environment<'static>>);

const ALL: [(&str, &str); 4] = [
    ("base.html", include_str!("templates/base.html")),
    ("login.html", include_str!("templates/login.html")),
    ("home.html", include_str!("templates/home.html")),
    ("echo.html", include_str!("templates/echo.html")),
];

impl Templates {
    /// Compiles the embedded templates.
    ///
    /// # Errors
    /// When one is malformed, which a test rules out.
    pub fn embedded() -> Result<Self, minijinja::Error> {
        let mut environment = Environment::new();
        for (name, source) in ALL {
            environment.add_template(name, source)?;
        }
        Ok(Self(Arc::new(environment)))
    }

    /// A page.
    pub fn page(&self, status: StatusCode, name: &str, values: Value) -> Response {
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

#[cfg(test)]
mod tests {
    use super::*;
    use minijinja::context;

    #[test]
    fn x_02_templates_compile_and_escape() {
        let templates = Templates::embedded().unwrap();
        let evil = "\"><script>alert(1)</script>";
        for (name, _) in ALL {
            let values = context! { brand => evil, prefix => "/auth", next => evil, username => evil, error => evil, csrf => evil,
            title => evil, text => evil, user => evil, method => evil, target => evil, headers => vec![(evil, evil)] };
            let html = templates
                .0
                .get_template(name)
                .unwrap()
                .render(values)
                .unwrap();
            assert!(!html.contains("<script"), "{name}");
            assert!(
                !html.contains(" style=") && !html.contains("onclick"),
                "{name}"
            );
        }
    }
}
