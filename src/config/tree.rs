//! YAML text into a marked tree: every value knows its line.
//!
//! YAML can do more than a configuration should: anchors and aliases (which grow without bound), merge keys,
//! tags, several documents, keys twice. All of that is refused here, and so is a file too large or nested
//! too deep to have been written by a person, before it costs anything.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{OFlags, fcntl_setfl};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_yaml::budget::BudgetBreach;
use serde_yaml::{
    DefaultMessageFormatter, DuplicateKeyPolicy, Error, MergeKeyPolicy, MessageFormatter, Options,
    Spanned, Tagged,
};

use super::doubles;
use super::report::Fault;

/// A value and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// The line, counted from 1.
    pub line: u64,
}

/// What YAML can say, less what is refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing: an empty place, `null` or `~`.
    Null,
    /// `true` or `false`; `yes`, `on` and the like are text.
    Bool(bool),
    /// A whole number.
    Integer(i128),
    /// Any other number.
    Float(f64),
    /// Text, quoted or not.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// An object, in the order in which it was written.
    Object(Vec<(Key, Node)>),
    /// Something that carries a tag, of which only the tag is kept.
    Tagged(String),
}

/// The key of an object's entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The key.
    pub text: String,
    /// Its line, counted from 1.
    pub line: u64,
}

/// A tree, and what was wrong with the YAML without making it unreadable.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The whole file.
    pub root: Node,
    /// Duplicate keys.
    pub faults: Vec<Fault>,
}

/// Most bytes a file may have: some ten thousand rules.
pub const MAX_BYTES: usize = 1 << 20;

/// Deeper than any configuration goes, and shallow enough for the stack.
const MAX_DEPTH: usize = 32;

/// What begins with a star is hardly ever meant as an alias.
const STARS: &str = "a value that begins with '*' stands in quotes: \"*.example.com\"";

const ANCHORS: &str = "anchors and aliases ('&', '*') are not read here";

impl Value {
    /// What it is, for people.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
            Self::Tagged(_) => "a YAML tag",
        }
    }
}

/// Reads a file without trusting its size or its kind.
///
/// # Errors
/// When it cannot be read, is too large or is not text.
pub fn read_file(path: &Path) -> Result<String, Fault> {
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::IsADirectory => Fault::of_file("is a directory, not a file"),
        std::io::ErrorKind::NotFound => {
            Fault::of_file("there is no such file").hint("name another one with --config FILE")
        }
        _ => Fault::of_file(format!(
            "cannot be read: {}",
            super::secrets::reason(&error)
        )),
    };
    let mut bytes = Vec::new();
    let file = open(path).map_err(unreadable)?;
    file.take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = error
            .as_bytes()
            .get(..error.utf8_error().valid_up_to())
            .unwrap_or_default();
        let line = String::from_utf8_lossy(valid).matches('\n').count() as u64 + 1;
        Fault::of_file("is not UTF-8 text").at_line(line)
    })
}

/// Opens a file without waiting: a pipe that nobody writes to, which is empty then, would else be waited for, and reloads
/// with it. What a program is writing into one is read as it comes.
pub(super) fn open(path: &Path) -> std::io::Result<File> {
    let at_once = OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options()
        .read(true)
        .custom_flags(at_once)
        .open(path)?;
    fcntl_setfl(&file, OFlags::empty())?;
    Ok(file)
}

/// Reads YAML.
///
/// # Errors
/// On what is no YAML, or YAML that is refused.
pub fn parse(text: &str) -> Result<Tree, Fault> {
    refuse_at_sight(text)?;
    let mut tree = parse_any(text)?;
    doubles::find(&tree.root, &mut tree.faults);
    if tree.root.value == Value::Null {
        Err(Fault::of_file("is empty"))
    } else {
        Ok(tree)
    }
}

fn parse_any(text: &str) -> Result<Tree, Fault> {
    match read(text, DuplicateKeyPolicy::Error) {
        Ok(root) => Ok(Tree {
            root,
            faults: Vec::new(),
        }),
        // Read on past the duplicate, so that it does not hide what else is wrong.
        Err(error) if is_duplicate(&error) => {
            let root = read(text, DuplicateKeyPolicy::FirstWins)
                .map_err(|other| fault_of(&other, text))?;
            Ok(Tree {
                root,
                faults: vec![fault_of(&error, text)],
            })
        }
        Err(error) => Err(fault_of(&error, text)),
    }
}

fn refuse_at_sight(text: &str) -> Result<(), Fault> {
    let line_of = |at: usize| text.get(..at).unwrap_or_default().matches('\n').count() as u64 + 1;
    if text.len() > MAX_BYTES {
        return Err(Fault::of_file(format!(
            "has more than {} KiB",
            MAX_BYTES / 1024
        )));
    }
    if text.starts_with('\u{feff}') {
        return Err(Fault::of_file("begins with a byte order mark")
            .at_line(1)
            .hint("save the file as UTF-8 without BOM"));
    }
    match text.find(|c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        Some(at) => Err(Fault::of_file("holds a control character").at_line(line_of(at))),
        None if text.trim().is_empty() => Err(Fault::of_file("is empty")),
        None => match text.char_indices().find(|&(at, c)| misleads(text, at, c)) {
            Some((at, _)) => Err(Fault::of_file(
                "holds a character that has its reader see other lines, or another order",
            )
            .at_line(line_of(at))
            .hint("write it in double quotes, like \"\\u200f\"")),
            None => Ok(()),
        },
    }
}

/// A line ends here to YAML and not to most programs, or to them and not to YAML, or the order of what is seen changes
/// (Unicode `Bidi_Control`).
fn misleads(text: &str, at: usize, c: char) -> bool {
    match c {
        '\r' => !text
            .get(at + 1..)
            .is_some_and(|rest| rest.starts_with('\n')),
        '\u{2028}' | '\u{2029}' | '\u{61c}' => true,
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        _ => false,
    }
}

fn read(text: &str, duplicate_keys: DuplicateKeyPolicy) -> Result<Node, Error> {
    serde_yaml::from_str_with_options(text, options(duplicate_keys))
}

fn options(duplicate_keys: DuplicateKeyPolicy) -> Options {
    serde_yaml::options! {
        duplicate_keys: duplicate_keys,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        with_snippet: false,
        budget: serde_yaml::budget! {
            max_reader_input_bytes: Some(MAX_BYTES),
            max_aliases: 0,
            max_anchors: 0,
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_documents: 1,
            max_nodes: MAX_BYTES / 4,
        },
    }
}

fn is_duplicate(error: &Error) -> bool {
    matches!(error.without_snippet(), Error::DuplicateMappingKey { .. })
}

fn fault_of(error: &Error, text: &str) -> Fault {
    let line = error.location().map_or(0, |location| location.line());
    let fault = |message: &str| Fault::of_file(message).at_line(line);
    match error.without_snippet() {
        Error::DuplicateMappingKey { key, .. } => Fault {
            seen: key.clone(),
            ..fault("the same key twice")
        },
        Error::UnknownAnchor { .. } => fault(ANCHORS).hint(STARS),
        Error::Budget {
            breach: BudgetBreach::Aliases { .. },
            ..
        } => fault(ANCHORS).hint(STARS),
        Error::Budget { breach, .. } => {
            fault(too_much(breach)).hint("a configuration needs none of that; write it out")
        }
        Error::MergeKeyNotAllowed { .. } => {
            fault("merge keys ('<<') are not read here").hint("write the keys out")
        }
        Error::MultipleDocuments { .. } => fault("holds a second YAML document ('---')"),
        other => {
            let message = DefaultMessageFormatter.format_message(other);
            let message: String = message.chars().filter(|c| !c.is_control()).collect();
            let fault = fault(&format!("is not YAML that can be read: {message}"));
            if has_star(text, line) {
                fault.hint(STARS)
            } else {
                fault
            }
        }
    }
}

/// Whether a value of this line begins with a star. The reader of YAML, which takes it for the name of something, does not
/// say so.
fn has_star(text: &str, line: u64) -> bool {
    let at = usize::try_from(line).unwrap_or(0).saturating_sub(1);
    let line = text.lines().nth(at).unwrap_or_default();
    let line = line.split(" #").next().unwrap_or_default();
    let mut words = line.split([' ', '\t', ',', '[', '{']);
    words.any(|word| word.starts_with('*'))
}

const fn too_much(breach: &BudgetBreach) -> &'static str {
    match breach {
        BudgetBreach::Aliases { .. } | BudgetBreach::Anchors { .. } => ANCHORS,
        BudgetBreach::Depth { .. } => "is nested too deep",
        BudgetBreach::Documents { .. } => "holds a second YAML document ('---')",
        _ => "holds too many values",
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned {
            value: Tagged(value, tag),
            referenced,
            ..
        } = Spanned::<Tagged<Value>>::deserialize(deserializer)?;
        let value = tag.map_or(value, Value::Tagged);
        Ok(Self {
            value,
            line: referenced.line(),
        })
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Node { value, line } = Node::deserialize(deserializer)?;
        let text = match value {
            Value::Text(text) => text,
            Value::Bool(value) => value.to_string(),
            Value::Integer(value) => value.to_string(),
            // Of 1.1 and 1.10 nothing is left that tells one from the other.
            Value::Null | Value::Float(_) => {
                let message = "a key that is no text as it stands; put it in quotes";
                return Err(D::Error::custom(message));
            }
            other => {
                return Err(D::Error::custom(format!(
                    "a key is {}, not text",
                    other.kind()
                )));
            }
        };
        Ok(Self { text, line })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            object.push(entry);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
