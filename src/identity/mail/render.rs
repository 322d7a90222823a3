//! From a letter to its subject, text and HTML, by templates: our own, or those of a folder.
//!
//! The `.txt` template of a letter has the blocks `subject` and `body`, the `.html` one `body`; both extend
//! `base`. What is put into HTML is escaped. Every template is filled in once when it is loaded, so that one
//! that is wrong is found then, and not when somebody waits for a letter.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use minijinja::{Environment, UndefinedBehavior, Value, context};

use super::letter::Letter;
use super::{Letterhead, MailFault, samples};

/// All templates, compiled. Clones share them.
#[derive(Clone, Debug)]
pub struct Templates(Arc<Environment<'static>>);

/// A letter in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    /// One line.
    pub subject: String,
    /// For programs that show text.
    pub plain: String,
    /// For programs that show HTML.
    pub html: String,
}

macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        [$(
            (concat!($name, ".txt"), include_str!(concat!("templates/", $name, ".txt"))),
            (concat!($name, ".html"), include_str!(concat!("templates/", $name, ".html"))),
        )*]
    };
}

const ALL: [(&str, &str); 26] = embedded![
    "base",
    "verify_email",
    "already_registered",
    "reset_password",
    "confirm_new_email",
    "new_email_asked",
    "email_changed",
    "password_changed",
    "password_set",
    "new_sign_in",
    "invitation",
    "account_deleted",
    "test",
];

/// The longest subject: what programs show, and far from where lines must be broken.
const SUBJECT_MAX: usize = 150;

impl Templates {
    /// Compiles the templates, those of `folder` before our own, and tries each.
    ///
    /// # Errors
    /// When a file cannot be read, or a template is malformed or uses what its letter does not have.
    pub fn load(folder: Option<&Path>) -> Result<Self, MailFault> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        for (name, own) in ALL {
            let source = source(folder, name)?.unwrap_or_else(|| own.to_owned());
            let added = environment.add_template_owned(name, source);
            added.map_err(|error| fault(name, &error))?;
        }
        let templates = Self(Arc::new(environment));
        let broken = |error: &dyn std::fmt::Display| {
            MailFault::Template("samples".into(), error.to_string())
        };
        let head = samples::letterhead().map_err(|error| broken(&error))?;
        for letter in samples::letters().map_err(|error| broken(&error))? {
            templates.render(&letter, &head)?;
        }
        Ok(templates)
    }

    /// A letter in words.
    pub(super) fn render(&self, letter: &Letter, head: &Letterhead) -> Result<Text, MailFault> {
        let common = context! {
            brand => head.brand.as_str(), color => head.color.as_str(), site => head.site.origin.as_str(),
        };
        let values = context! { ..letter.values(), ..common };
        let name = letter.template();
        let (plain, subject) = self.plain(&format!("{name}.txt"), values.clone())?;
        let (html, _) = self.filled(&format!("{name}.html"), values)?;
        Ok(Text {
            subject,
            plain,
            html,
        })
    }

    fn plain(&self, name: &str, values: Value) -> Result<(String, String), MailFault> {
        let (text, subject) = self.filled(name, values)?;
        let subject = subject.map_err(|error| fault(name, &error))?;
        Ok((text.trim().to_owned() + "\n", one_line(&subject)))
    }

    /// The whole template, and its block `subject`.
    fn filled(
        &self,
        name: &str,
        values: Value,
    ) -> Result<(String, Result<String, minijinja::Error>), MailFault> {
        let rendered = self
            .0
            .get_template(name)
            .and_then(|template| template.render_captured(values));
        let mut rendered = rendered.map_err(|error| fault(name, &error))?;
        let subject = rendered.with_state_mut(|state| state.render_block("subject"));
        Ok((rendered.into_output(), subject))
    }
}

/// A header field has one line; whatever else a name held is not shown there.
pub(super) fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let text: String = text.chars().map(plain).collect();
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(SUBJECT_MAX).collect()
}

fn source(folder: Option<&Path>, name: &str) -> Result<Option<String>, MailFault> {
    let Some(path) = folder.map(|folder| folder.join(name)) else {
        return Ok(None);
    };
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(MailFault::Template(
            path.display().to_string(),
            error.to_string(),
        )),
    }
}

fn fault(name: &str, error: &minijinja::Error) -> MailFault {
    MailFault::Template(name.to_owned(), error.to_string())
}
