//! The file as it was written: values with their places, asked for by key and by type.
//!
//! Whoever asks gets `None` when the value is absent or wrong, and what is wrong has then been written down.
//! So the reader of a section reads on, and one fault does not hide the next.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::later;
use super::reading::{Reading, as_list, plain, printable, without_userinfo};
use super::report::{Fault, suggest};
use super::schema;
use super::secrets;
use super::tree::{Key, Node, Value};

/// A value and its place.
#[derive(Clone)]
pub struct At<'a> {
    node: &'a Node,
    path: String,
    reading: &'a Reading<'a>,
}

/// An object of which the schema names the keys. Keys it does not name have been reported.
pub struct Object<'a> {
    at: At<'a>,
    entries: &'a [(Key, Node)],
    shape: &'static str,
}

/// An entry of an object whose keys are names that the file chooses.
pub struct Entry<'a> {
    /// The name.
    pub name: &'a str,
    /// The value.
    pub at: At<'a>,
}

impl<'a> At<'a> {
    /// The root of a tree.
    #[must_use]
    pub fn root(node: &'a Node, reading: &'a Reading<'a>) -> Self {
        Self {
            node,
            path: String::new(),
            reading,
        }
    }

    /// The line the value begins on.
    #[must_use]
    pub const fn line(&self) -> u64 {
        self.node.line
    }

    /// The value as it was written.
    #[must_use]
    pub const fn value(&self) -> &'a Value {
        &self.node.value
    }

    /// The reading this belongs to.
    #[must_use]
    pub const fn reading(&self) -> &'a Reading<'a> {
        self.reading
    }

    /// Writes down what is wrong with this value.
    pub fn refuse<T>(&self, message: impl Into<String>) -> Option<T> {
        self.reading.fault(self.describe(message.into(), None));
        None
    }

    /// Writes down what is wrong with this value, and what to do about it.
    pub fn refuse_with<T>(&self, message: impl Into<String>, hint: impl Into<String>) -> Option<T> {
        self.reading
            .fault(self.describe(message.into(), Some(hint.into())));
        None
    }

    /// Writes down what is wrong around this value, whose own text would say nothing.
    pub fn refuse_around<T>(&self, message: impl Into<String>, hint: Option<&str>) -> Option<T> {
        let fault = self.describe(message.into(), hint.map(str::to_owned));
        self.reading.fault(Fault {
            seen: None,
            ..fault
        });
        None
    }

    /// Writes down what was probably not meant.
    pub fn warn(&self, message: impl Into<String>, hint: impl Into<String>) {
        self.reading
            .warning(self.describe(message.into(), Some(hint.into())));
    }

    /// Writes down what was probably not meant around this value.
    pub fn warn_around(&self, message: impl Into<String>, hint: impl Into<String>) {
        let warning = self.describe(message.into(), Some(hint.into()));
        self.reading.warning(Fault {
            seen: None,
            ..warning
        });
    }

    /// Refuses a word that is not among those known here.
    pub fn unknown<'b, T>(
        &self,
        what: &str,
        word: &str,
        known: impl IntoIterator<Item = &'b str> + Clone,
    ) -> Option<T> {
        let hint = suggest(word, known);
        let seen = Some(printable(word));
        self.reading.fault(Fault {
            seen,
            hint,
            ..self.describe(format!("unknown {what}"), None)
        });
        None
    }

    /// Refuses something that the file's language has and this version does not.
    pub fn not_yet<T>(&self, what: &str) -> Option<T> {
        let fault = Fault {
            seen: Some(printable(what)),
            ..self.describe(later::MESSAGE.to_owned(), None)
        };
        self.reading.fault(fault);
        None
    }

    /// Text.
    #[must_use]
    pub fn text(&self) -> Option<&'a str> {
        match self.value() {
            Value::Text(text) => Some(text),
            Value::Integer(_) | Value::Float(_) | Value::Bool(_) => {
                self.refuse_with(self.expected("text"), "put it in quotes")
            }
            _ => self.refuse(self.expected("text")),
        }
    }

    /// Text that a type can be made of; `what` names the type.
    pub fn parse<T: FromStr<Err: Display>>(&self, what: &str) -> Option<T> {
        match self.text()?.parse() {
            Ok(value) => Some(value),
            Err(error) => self.refuse_with(format!("not {what}"), error.to_string()),
        }
    }

    /// One of a few words, each standing for something.
    pub fn choice<T: Copy>(&self, what: &str, words: &[(&'static str, T)]) -> Option<T> {
        // What is no text is not one of the words either: quotes around it would not help.
        let other = match self.value() {
            Value::Bool(_) | Value::Integer(_) | Value::Float(_) => self.seen(),
            _ => None,
        };
        let text = match &other {
            Some(other) => other,
            None => self.text()?,
        };
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => Some(*value),
            None => self.unknown(what, text, words.iter().map(|(word, _)| *word)),
        }
    }

    /// `true` or `false`.
    #[must_use]
    pub fn boolean(&self) -> Option<bool> {
        match self.value() {
            Value::Bool(value) => Some(*value),
            _ => self.refuse(self.expected("true or false")),
        }
    }

    /// A whole number within bounds.
    #[must_use]
    pub fn integer(&self, bounds: RangeInclusive<u32>) -> Option<u32> {
        let Value::Integer(value) = self.value() else {
            return self.refuse(self.expected("a whole number"));
        };
        match u32::try_from(*value) {
            Ok(value) if bounds.contains(&value) => Some(value),
            _ => self.refuse(format!(
                "must be from {} to {}",
                bounds.start(),
                bounds.end()
            )),
        }
    }

    /// The items of a list. Text alone is a fault, and is still taken for an item, so that what is wrong with it is told
    /// at the same time.
    #[must_use]
    pub fn list(&self) -> Option<Vec<At<'a>>> {
        match self.value() {
            Value::List(items) => {
                let item = |(at, node)| At {
                    node,
                    path: format!("{}[{at}]", self.path),
                    reading: self.reading,
                };
                Some(items.iter().enumerate().map(item).collect())
            }
            Value::Text(text) => {
                self.refuse_around::<()>(self.expected("a list"), Some(&as_list(text)));
                // Each word of several is an item, which one value cannot stand for.
                (!text.contains(',')).then(|| vec![self.clone()])
            }
            _ => self.refuse(self.expected("a list")),
        }
    }

    /// The items of a list of objects, of which text is none.
    #[must_use]
    pub fn objects(&self) -> Option<Vec<At<'a>>> {
        match self.value() {
            Value::List(_) => self.list(),
            _ => self.refuse(self.expected("a list")),
        }
    }

    /// The items of a list, or the one value that stands for a list of one.
    #[must_use]
    pub fn list_or_one(&self) -> Option<Vec<At<'a>>> {
        match self.value() {
            Value::Text(_) => Some(vec![self.clone()]),
            Value::Tagged(_) => self.refuse(self.expected("text or a list")),
            _ => self.list(),
        }
    }

    /// The entries of an object whose keys are names.
    #[must_use]
    pub fn entries(&self) -> Option<Vec<Entry<'a>>> {
        let Value::Object(entries) = self.value() else {
            return self.refuse(self.expected("an object"));
        };
        let entry = |(key, node): &'a (Key, Node)| Entry {
            name: &key.text,
            at: self.below(&key.text, node),
        };
        Some(entries.iter().map(entry).collect())
    }

    /// An object with the keys of `shape`, a definition of the schema.
    #[must_use]
    pub fn object(&self, shape: &'static str) -> Option<Object<'a>> {
        let Value::Object(entries) = self.value() else {
            return self.refuse_with(self.expected("an object"), self.as_object(shape));
        };
        let object = Object {
            at: self.clone(),
            entries,
            shape,
        };
        object.refuse_unknown_keys();
        Some(object)
    }

    /// How the value could be written as an object, or which keys that has.
    fn as_object(&self, shape: &str) -> String {
        let value = match self.value() {
            _ if self.is_secret() => None,
            // What is not shown whole is not to be written.
            Value::Text(text) if without_userinfo(text) != *text => None,
            Value::Text(text) => Some((plain(text), "string")),
            Value::Integer(number) => Some((number.to_string(), "integer")),
            _ => None,
        };
        value
            .and_then(|(value, kind)| schema::around(shape, &value, kind))
            .unwrap_or_else(|| format!("known here: {}", schema::keys(shape).join(", ")))
    }

    fn is_secret(&self) -> bool {
        secrets::may_be_one(&self.path, self.value())
    }

    fn below(&self, key: &str, node: &'a Node) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Self {
            node,
            path: format!("{}{dot}{}", self.path, printable(key)),
            reading: self.reading,
        }
    }

    fn expected(&self, what: &str) -> String {
        match self.value() {
            Value::Tagged(tag) => format!("expected {what}, found the YAML tag {}", printable(tag)),
            other => format!("expected {what}, found {}", other.kind()),
        }
    }

    fn describe(&self, message: String, hint: Option<String>) -> Fault {
        Fault {
            path: self.path.clone(),
            line: self.line(),
            message,
            seen: self.seen(),
            hint,
        }
    }

    fn seen(&self) -> Option<String> {
        if self.is_secret() {
            return None;
        }
        match self.value() {
            Value::Text(text) => Some(printable(&without_userinfo(text))),
            Value::Bool(value) => Some(value.to_string()),
            Value::Integer(value) => Some(value.to_string()),
            Value::Float(value) => Some(value.to_string()),
            Value::Null | Value::List(_) | Value::Object(_) | Value::Tagged(_) => None,
        }
    }
}

impl<'a> Object<'a> {
    /// The place of the object itself.
    #[must_use]
    pub const fn at(&self) -> &At<'a> {
        &self.at
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &'static str) -> Option<At<'a>> {
        #[cfg(test)]
        schema::tests::asked(self.shape, key);
        let (_, node) = self
            .entries
            .iter()
            .find(|(written, _)| written.text == key)?;
        Some(self.at.below(key, node))
    }

    /// The value of a key that must be there.
    #[must_use]
    pub fn require(&self, key: &'static str) -> Option<At<'a>> {
        self.get(key)
            .or_else(|| self.at.refuse(format!("'{key}' is missing")))
    }

    /// The object under a key, if the key is there.
    #[must_use]
    pub fn section(&self, key: &'static str, shape: &'static str) -> Option<Object<'a>> {
        self.get(key)?.object(shape)
    }

    /// Every key as it was written.
    pub fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.entries.iter().map(|(key, _)| key.text.as_str())
    }

    fn refuse_unknown_keys(&self) {
        let known = schema::keys(self.shape);
        for (key, _) in self
            .entries
            .iter()
            .filter(|(key, _)| !known.contains(&key.text.as_str()))
        {
            if self.at.reading.is_full() {
                break;
            }
            let later = later::keys(self.shape).contains(&key.text.as_str());
            let (message, hint) = if later {
                (later::MESSAGE, None)
            } else {
                (
                    "unknown key",
                    later::suggest_key(self.shape, &key.text, &known),
                )
            };
            let fault = Fault::of_file(message).at_line(key.line);
            let (path, seen) = (self.at.path.clone(), Some(printable(&key.text)));
            self.at.reading.fault(Fault {
                path,
                seen,
                hint,
                ..fault
            });
        }
    }
}
