//! What is wrong with a form: what stands beside a field, and what stands above all of them.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use crate::identity::accounts::AccountFault;
use crate::identity::login::Refusal;
use crate::web::body::no_prose;
use crate::web::error::Problem;
use crate::web::form::Fields;

/// Everything that is wrong with a form.
#[derive(Debug, Default)]
pub struct Slips {
    wrong: BTreeMap<&'static str, String>,
    problem: Option<Problem>,
}

impl Slips {
    /// What a field means, if it means something; else the field is marked.
    pub fn read<T: FromStr<Err: Display>>(
        &mut self,
        fields: &Fields,
        name: &'static str,
    ) -> Option<T> {
        let read = fields.text(name).trim().parse();
        read.map_err(|error: T::Err| self.mark(name, &error.to_string()))
            .ok()
    }

    /// The same for a field that may be empty.
    pub fn read_filled<T: FromStr<Err: Display>>(
        &mut self,
        fields: &Fields,
        name: &'static str,
    ) -> Option<T> {
        fields.filled(name)?;
        self.read(fields, name)
    }

    /// A line for people to read; the field is marked where it is none.
    pub fn prose(&mut self, fields: &Fields, name: &'static str) -> String {
        let text = fields.text(name).trim();
        if let Some(fault) = no_prose(text) {
            self.mark(name, fault);
        }
        text.to_owned()
    }

    /// Marks a field.
    pub fn mark(&mut self, name: &'static str, why: &str) {
        self.wrong.insert(name, sentence(why));
    }

    /// Goes on when nothing is wrong.
    ///
    /// # Errors
    /// Everything that is.
    pub fn none(self) -> Result<(), Self> {
        if self.wrong.is_empty() && self.problem.is_none() {
            Ok(())
        } else {
            Err(self)
        }
    }

    /// What the page shows of it.
    #[must_use]
    pub fn shown(&self) -> Value {
        let error = self.problem.as_ref().map(Problem::text);
        json!({ "error": error, "wrong": self.wrong })
    }

    /// The status of the page.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match &self.problem {
            Some(problem) => problem.status(),
            None => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }

    /// Puts what belongs there into the headers of the page.
    pub fn decorate(&self, response: &mut Response) {
        if let Some(problem) = &self.problem {
            problem.decorate(response);
        }
    }
}

/// An error's text as a sentence about a field.
fn sentence(text: &str) -> String {
    let about_it = ["must", "is ", "holds", "has "];
    let text = match text {
        _ if about_it.iter().any(|start| text.starts_with(start)) => format!("It {text}"),
        _ => {
            let mut letters = text.chars();
            let first = letters.next().map(|c| c.to_uppercase().to_string());
            format!("{}{}", first.unwrap_or_default(), letters.as_str())
        }
    };
    if text.ends_with('.') {
        text
    } else {
        format!("{text}.")
    }
}

impl From<Problem> for Slips {
    fn from(problem: Problem) -> Self {
        Self {
            problem: Some(problem),
            ..Self::default()
        }
    }
}

impl From<AccountFault> for Slips {
    fn from(fault: AccountFault) -> Self {
        let mut slips = Self::default();
        match &fault {
            AccountFault::UsernameTaken(_) => slips.mark("username", "the username is taken"),
            AccountFault::UsernamePath => slips.mark("username", &fault.to_string()),
            AccountFault::EmailTaken(_) => slips.mark("email", "the e-mail address is taken"),
            AccountFault::Password(_) => slips.mark("password", &fault.to_string()),
            AccountFault::UnknownRole(_) => slips.mark("roles", &fault.to_string()),
            AccountFault::UnknownPermission(_) => slips.mark("permissions", &fault.to_string()),
            AccountFault::Exists(_) => slips.mark("name", &fault.to_string()),
            AccountFault::Reauthenticate => {
                slips.mark("current_password", "please type your password as well");
            }
            AccountFault::Refused(Refusal::Invalid) => {
                slips.mark("current_password", "the password is wrong");
            }
            _ => return Problem::from(fault).into(),
        }
        slips
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_become_sentences() {
        for (text, is) in [
            ("must not be empty", "It must not be empty."),
            ("is not an e-mail address", "It is not an e-mail address."),
            ("a username holds no '@'", "A username holds no '@'."),
            ("the password is common", "The password is common."),
            ("Said already.", "Said already."),
            ("", "."),
        ] {
            assert_eq!(sentence(text), is);
        }
    }
}
