//! A browser without JavaScript: it keeps cookies, reads the form it was shown, and sends it back.

use std::collections::BTreeMap;

use url::form_urlencoded::Serializer;

use crate::harness::{Gateway, Response};

/// What a browser says when somebody types an address.
pub const NAVIGATION: &str = "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n\
    Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Site: none\r\n";

/// What it says when a form of our own page is sent.
pub const OWN_FORM: &str = "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n\
    Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Site: same-origin\r\n\
    Origin: http://localhost\r\n";

/// One browser, with its cookies.
pub struct Browser<'a> {
    gateway: &'a Gateway,
    /// Name to value, as the answers set them.
    pub cookies: BTreeMap<String, String>,
}

/// The login form as it was shown.
#[derive(Debug, Clone)]
pub struct Form {
    /// Where it is sent.
    pub action: String,
    /// The names of all its fields, in order.
    pub names: Vec<String>,
    /// The hidden fields.
    pub hidden: BTreeMap<String, String>,
}

impl<'a> Browser<'a> {
    /// A fresh one.
    pub fn new(gateway: &'a Gateway) -> Self {
        Self {
            gateway,
            cookies: BTreeMap::new(),
        }
    }

    /// The header line with all cookies.
    pub fn cookie_line(&self) -> String {
        let pairs: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if pairs.is_empty() {
            return String::new();
        }
        format!("Cookie: {}\r\n", pairs.join("; "))
    }

    /// Goes to a path.
    pub fn get(&mut self, path: &str) -> Response {
        self.get_with(path, NAVIGATION)
    }

    /// The same with these header lines instead of a browser's own.
    pub fn get_with(&mut self, path: &str, lines: &str) -> Response {
        let cookies = self.cookie_line();
        let answer = self.gateway.ask(format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\n{lines}{cookies}\r\n"
        ));
        self.keep(&answer);
        answer
    }

    /// Opens the login page and reads its form.
    pub fn form(&mut self, path: &str) -> Form {
        let page = self.get(path);
        assert_eq!(page.status, 200, "{}", page.text());
        Form::read(&page.text())
    }

    /// Sends a form by POST with these header lines.
    pub fn post(&mut self, path: &str, lines: &str, fields: &[(&str, &str)]) -> Response {
        let body = encode(fields);
        let cookies = self.cookie_line();
        let answer = self.gateway.ask(format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\n{lines}{cookies}\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        self.keep(&answer);
        answer
    }

    /// Fills the form in and sends it as a person would.
    pub fn submit(&mut self, form: &Form, username: &str, password: &str) -> Response {
        let mut fields: Vec<(&str, &str)> = form
            .hidden
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        fields.extend([("username", username), ("password", password)]);
        self.post(&form.action, OWN_FORM, &fields)
    }

    fn keep(&mut self, answer: &Response) {
        for cookie in answer.values("set-cookie") {
            let (pair, rest) = cookie.split_once(';').unwrap_or((&cookie, ""));
            let (name, value) = pair.split_once('=').unwrap();
            if rest.to_ascii_lowercase().contains("max-age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

impl Form {
    /// Reads the page's only form.
    pub fn read(page: &str) -> Self {
        let start = page.find("<form").expect("no form");
        let end = page.find("</form>").expect("an unfinished form");
        let form = &page[start..end];
        assert!(!page[end + 7..].contains("<form"), "two forms");
        let tag = &form[..form.find('>').unwrap()];
        assert_eq!(attribute(tag, "method").as_deref(), Some("post"));
        let inputs: Vec<&str> = form
            .split("<input")
            .skip(1)
            .map(|rest| &rest[..rest.find('>').unwrap()])
            .collect();
        let name = |input: &&str| attribute(input, "name");
        let hidden = inputs
            .iter()
            .filter(|input| attribute(input, "type").as_deref() == Some("hidden"))
            .map(|input| {
                (
                    name(input).unwrap(),
                    attribute(input, "value").unwrap_or_default(),
                )
            });
        Self {
            action: attribute(tag, "action").expect("a form without action"),
            names: inputs.iter().filter_map(name).collect(),
            hidden: hidden.collect(),
        }
    }

    /// The same form with a hidden field changed, or taken out.
    #[must_use]
    pub fn with(&self, name: &str, value: Option<&str>) -> Self {
        let mut form = self.clone();
        match value {
            Some(value) => form.hidden.insert(name.into(), value.into()),
            None => form.hidden.remove(name),
        };
        form
    }
}

/// Fields as `application/x-www-form-urlencoded`.
pub fn encode(fields: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// The value of an attribute of a tag, entities resolved.
pub fn attribute(tag: &str, name: &str) -> Option<String> {
    let start = tag.find(&format!(" {name}=\""))? + name.len() + 3;
    let rest = &tag[start..];
    Some(unescape(&rest[..rest.find('"')?]))
}

fn unescape(text: &str) -> String {
    let entities = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#x27;", "'"),
        ("&#39;", "'"),
        ("&#x2f;", "/"),
        ("&#x2F;", "/"),
        ("&amp;", "&"),
    ];
    entities
        .iter()
        .fold(text.to_owned(), |text, (entity, plain)| {
            text.replace(entity, plain)
        })
}
