//! From a file to records: which line, and the text of each known field. What a text means is not asked here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::bail;
use clap::ValueEnum;
use serde_json::{Map, Value};

use crate::cli::text::count;
use crate::config::report::nearest;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// Comma-separated values (RFC 4180) under a line of column names.
    Csv,
    /// A JSON object on each line.
    Jsonl,
}

/// What is known of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    Username,
    Email,
    Hash,
    Roles,
    Active,
    Superuser,
    Verified,
    Created,
}

/// One user, as written. An absent field is not the same as an empty one.
#[derive(Debug)]
pub struct Record {
    pub line: u64,
    /// The fields, or why they cannot be told apart.
    pub fields: Result<BTreeMap<Field, String>, String>,
}

/// Everything that a file holds.
#[derive(Debug, Default)]
pub struct Records {
    pub rows: Vec<Record>,
    /// Columns that mean nothing here.
    pub ignored: BTreeSet<String>,
}

impl Layout {
    /// The layout that a file's name ends with.
    pub fn of(file: &Path) -> Self {
        let ends = |end: &str| {
            file.extension()
                .is_some_and(|it| it.eq_ignore_ascii_case(end))
        };
        if ends("jsonl") || ends("ndjson") || ends("json") {
            Self::Jsonl
        } else {
            Self::Csv
        }
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// When its columns are not told, or told twice.
    pub fn read(self, bytes: &[u8]) -> anyhow::Result<Records> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        match self {
            Self::Csv => csv_records(bytes),
            Self::Jsonl => Ok(json_records(bytes)),
        }
    }
}

impl Field {
    /// The field of a name: ours first, then as Django and the `FastAPI` plugins call theirs.
    fn of(name: &str) -> Option<Self> {
        let found = FIELDS.iter().find(|(known, _)| *known == name.trim());
        found.map(|(_, field)| *field)
    }
}

const FIELDS: [(&str, Field); 11] = [
    ("username", Field::Username),
    ("email", Field::Email),
    ("password_hash", Field::Hash),
    ("hashed_password", Field::Hash),
    ("password", Field::Hash),
    ("roles", Field::Roles),
    ("is_active", Field::Active),
    ("is_superuser", Field::Superuser),
    ("is_verified", Field::Verified),
    ("created_at", Field::Created),
    ("date_joined", Field::Created),
];

/// Goes on unless a column is called almost as one that counts: a mistyped `is_active` would let in whom it keeps out.
///
/// # Errors
/// What it was probably meant to be called.
fn refuse_mistyped(name: &str) -> Result<(), String> {
    let known = FIELDS.iter().map(|(known, _)| *known);
    nearest(name.trim(), known).map_or(Ok(()), |meant| {
        Err(format!(
            "'{name}' means nothing here; did you mean '{meant}'?"
        ))
    })
}

/// Goes on unless a quote is still open at the end, or something stands behind one that closes (RFC 4180 section 2): the
/// reader takes either without a word, and every row that follows for part of one cell.
///
/// # Errors
/// Where the quote is.
fn refuse_loose_quotes(bytes: &[u8]) -> anyhow::Result<()> {
    let (mut line, mut opened) = (1_u64, None);
    let mut bytes = bytes.iter().peekable();
    let mut at_start = true;
    while let Some(&byte) = bytes.next() {
        let starts = std::mem::replace(&mut at_start, false);
        match (byte, opened) {
            (b'"', Some(_)) if bytes.next_if_eq(&&b'"').is_some() => {}
            (b'"', Some(_)) => {
                opened = None;
                if !matches!(bytes.peek(), None | Some(b',' | b'\r' | b'\n')) {
                    bail!(
                        "line {line}: something stands behind a quote that closes; one inside a cell is written twice"
                    );
                }
            }
            (b'"', None) if starts => opened = Some(line),
            (b',', None) => at_start = true,
            (b'\r', _) if bytes.peek() == Some(&&b'\n') => {}
            (b'\n' | b'\r', _) => {
                line += 1;
                at_start = opened.is_none();
            }
            _ => {}
        }
    }
    match opened {
        Some(line) => bail!("line {line}: a quote opens here and never closes"),
        None => Ok(()),
    }
}

fn csv_records(bytes: &[u8]) -> anyhow::Result<Records> {
    refuse_loose_quotes(bytes)?;
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
    let mut records = Records::default();
    let mut columns = Vec::new();
    for name in reader.byte_headers()? {
        let name = String::from_utf8_lossy(name).into_owned();
        match Field::of(&name) {
            Some(field) if columns.contains(&Some(field)) => {
                bail!("two columns of the first line mean the same: '{name}' is the second");
            }
            Some(field) => columns.push(Some(field)),
            None => {
                refuse_mistyped(&name).map_err(anyhow::Error::msg)?;
                records.ignored.insert(name);
                columns.push(None);
            }
        }
    }
    if !columns.contains(&Some(Field::Username)) {
        bail!(
            "the first line must name the columns, and none of them is 'username' (JSON lines are read with --format jsonl)"
        );
    }
    for record in reader.byte_records() {
        let record = record?;
        let line = record.position().map_or(0, |at| line_at(bytes, at));
        let fields = cells(&columns, &record);
        records.rows.push(Record { line, fields });
    }
    Ok(records)
}

/// The line that a record begins on. To the reader the second byte of a line end that has two is part of the next record, which
/// then is said to begin on the line before.
fn line_at(bytes: &[u8], at: &csv::Position) -> u64 {
    let start = usize::try_from(at.byte()).unwrap_or(usize::MAX);
    let ended = |byte: usize| bytes.get(byte) == Some(&b'\n');
    at.line() + u64::from(ended(start))
}

fn cells(
    columns: &[Option<Field>],
    record: &csv::ByteRecord,
) -> Result<BTreeMap<Field, String>, String> {
    if record.len() != columns.len() {
        return Err(format!(
            "has {} where the first line has {}; a cell that holds a comma, as argon2 hashes do, stands in quotes",
            count(record.len(), "cell"),
            columns.len()
        ));
    }
    let mut fields = BTreeMap::new();
    for (column, cell) in columns.iter().zip(record) {
        if let Some(field) = column {
            let text = std::str::from_utf8(cell).map_err(|_| "is not UTF-8")?;
            fields.insert(*field, text.trim().to_owned());
        }
    }
    Ok(fields)
}

fn json_records(bytes: &[u8]) -> Records {
    let mut records = Records::default();
    let lines = bytes.split(|&byte| byte == b'\n');
    for (line, text) in (1..).zip(lines) {
        if !text.trim_ascii().is_empty() {
            let fields = json_fields(text, &mut records.ignored);
            records.rows.push(Record { line, fields });
        }
    }
    records
}

fn json_fields(
    text: &[u8],
    ignored: &mut BTreeSet<String>,
) -> Result<BTreeMap<Field, String>, String> {
    // Not the error's own words: they may repeat what stands there.
    let object: Map<String, Value> = serde_json::from_slice(text)
        .map_err(|error| format!("is not a JSON object (column {})", error.column()))?;
    let mut fields = BTreeMap::new();
    for (name, value) in object {
        let Some(field) = Field::of(&name) else {
            refuse_mistyped(&name)?;
            ignored.insert(name);
            continue;
        };
        let text = match value {
            Value::Null => continue,
            value => {
                plain(value).ok_or_else(|| format!("{name} is neither text nor a list of texts"))?
            }
        };
        if fields.insert(field, text).is_some() {
            return Err(format!("{name} means the same as another field"));
        }
    }
    Ok(fields)
}

/// A value as the text that a CSV file would have for it.
fn plain(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Bool(yes) => Some(yes.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            Some(texts?.join(";"))
        }
        Value::Null | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(layout: Layout, text: &str) -> String {
        let records = match layout.read(text.as_bytes()) {
            Ok(records) => records,
            Err(error) => return error.to_string(),
        };
        let row = |record: &Record| match &record.fields {
            Ok(fields) => {
                let field = |(field, text)| format!("{field:?}={text}");
                let fields: Vec<_> = fields.iter().map(field).collect();
                format!("{}: {}", record.line, fields.join(" "))
            }
            Err(reason) => format!("{}: {reason}", record.line),
        };
        let rows = records.rows.iter().map(row);
        let ignored = records.ignored.iter().map(|name| format!("ignored {name}"));
        rows.chain(ignored).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_mistyped_column_is_refused_and_lines_are_counted_however_they_end() {
        for name in ["is_actve", "usename", "Roles", "passwords"] {
            let csv = format!("username,{name}\na,b\n");
            assert!(Layout::Csv.read(csv.as_bytes()).is_err(), "{name}");
            let json = format!("{{\"username\": \"a\", \"{name}\": \"b\"}}");
            let read = Layout::Jsonl.read(json.as_bytes()).unwrap();
            assert!(read.rows.iter().all(|row| row.fields.is_err()), "{name}");
        }
        for end in ["\n", "\r\n"] {
            let text = ["username,note", "a,x", "b,\"y", "z\"", "c,x", ""].join(end);
            let read = Layout::Csv.read(text.as_bytes()).unwrap();
            let lines: Vec<u64> = read.rows.iter().map(|row| row.line).collect();
            assert_eq!(lines, [2, 3, 5], "{end:?}");
        }
    }

    #[test]
    fn csv_is_read_by_its_first_line() {
        let text = "\u{feff}id, username ,hashed_password,roles\n\
                    1, Bob ,\"$argon2id$v=19$m=64,t=1,p=1$a$b\",\"a;b\"\n\
                    2,two\nlines\n\
                    3,\"o\nne\",$2b$12$x,\n\
                    4,dave,$argon2id$v=19$m=64,t=1,p=1$a$b,\n";
        insta::assert_snapshot!(shown(Layout::Csv, text), @r"
        2: Username=Bob Hash=$argon2id$v=19$m=64,t=1,p=1$a$b Roles=a;b
        3: has 2 cells where the first line has 4; a cell that holds a comma, as argon2 hashes do, stands in quotes
        4: has 1 cell where the first line has 4; a cell that holds a comma, as argon2 hashes do, stands in quotes
        5: Username=o
        ne Hash=$2b$12$x Roles=
        7: has 6 cells where the first line has 4; a cell that holds a comma, as argon2 hashes do, stands in quotes
        ignored id
        ");
        let quoted = "username,email,note\na1,a1@x.test,\"a \"\"word\"\", and\r\nmore\"\r\nb1,b1@x.test,\"\"";
        assert_eq!(shown(Layout::Csv, quoted).matches("Username=").count(), 2);
        // Old Macs end lines so, and the reader takes it.
        let old = "note,username\rx,a1\r\"q\",b1\r";
        assert_eq!(shown(Layout::Csv, old).matches("Username=").count(), 2);
        // What would swallow the rows behind it.
        for (loose, line) in [
            ("username,note\na1,\"unclosed\nb1,x\nc1,y\n", 2),
            ("username,note\na1,x\nb1,\"y", 3),
            ("username,note\na1,\"x\" y\n", 2),
            ("username,note\na1,\"one\ntwo\"three\n", 3),
            ("username,note\na1,\"open\nb1,\"x\"\n", 3),
        ] {
            let said = shown(Layout::Csv, loose);
            assert!(
                said.starts_with(&format!("line {line}: ")),
                "{loose}: {said}"
            );
        }
        for bad in [
            "",
            "name,email\nbob,b@x\n",
            "username,password,password_hash\n",
        ] {
            assert!(Layout::Csv.read(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn json_is_read_line_by_line() {
        let text = "{\"username\": \"bob\", \"roles\": [\"a\", \"b\"], \"is_active\": false, \"email\": null}\n\
                    \r\n\
                    {\"username\": \"eve\", \"roles\": []}\r\n\
                    {\"username\": {}}\n\
                    [1]\n\
                    {\"username\": \"x\", \"password\": \"a\", \"password_hash\": \"b\", \"shoe\": 42}\n\
                    {\"username\": \"secret";
        insta::assert_snapshot!(shown(Layout::Jsonl, text), @r"
        1: Username=bob Roles=a;b Active=false
        3: Username=eve Roles=
        4: username is neither text nor a list of texts
        5: is not a JSON object (column 0)
        6: password_hash means the same as another field
        7: is not a JSON object (column 20)
        ");
    }

    #[test]
    fn the_name_of_the_file_says_how_it_is_written() {
        for (name, layout) in [
            ("users.csv", Layout::Csv),
            ("users.JSONL", Layout::Jsonl),
            ("users.ndjson", Layout::Jsonl),
            ("-", Layout::Csv),
        ] {
            assert_eq!(Layout::of(Path::new(name)), layout, "{name}");
        }
    }
}
