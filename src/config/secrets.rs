//! `env:NAME` and `file:/path`: secrets that stay out of the file, and the files it names.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::base::secret::Secret;

use super::raw::At;
use super::reading::printable;
use super::tree::{Value, open};

/// No key, certificate or password is larger.
const MAX_BYTES: u64 = 1 << 20;

const NOTATION: &str =
    "write env:NAME or file:/path; secrets themselves do not belong in this file";

/// Keys whose values are, or could be taken for, secrets.
const SECRET_KEYS: [&str; 3] = ["password", "secret", "key"];

/// Objects that hold one, which may be written in place of all of them.
const WITH_SECRETS: [&str; 2] = ["bootstrap", "mail"];

/// Whether a value is, or could be taken for, a secret. It is never shown.
pub fn may_be_one(path: &str, value: &Value) -> bool {
    let last = path.rsplit('.').next().unwrap_or_default();
    let is_hook = |name: &str| !name.contains('.');
    let is_plain = |query: &str| query.starts_with("tls=") && !query.contains('&');
    let is_masked = |url: &str| {
        let query = url.split_once('?').map(|(_, query)| query);
        (url.contains("://") || !url.contains('@')) && query.is_none_or(is_plain)
    };
    match (path, value) {
        ("mail.url", Value::Text(url)) => !is_masked(url),
        _ => {
            SECRET_KEYS.contains(&last)
                || WITH_SECRETS.contains(&path)
                || path.strip_prefix("hooks.").is_some_and(is_hook)
        }
    }
}

/// The environment of this process.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment"
)]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The bytes that a secret's reference leads to. Never empty.
pub fn bytes(at: &At<'_>) -> Option<Secret<Vec<u8>>> {
    let text = at.text()?;
    match text.split_once(':') {
        Some(("env", name)) if !name.is_empty() => match at.reading().env(name) {
            Some(value) if !value.is_empty() => Some(Secret::new(value.into_bytes())),
            _ => at.refuse(format!(
                "the environment variable {} is not set, or empty",
                shown_name(name)
            )),
        },
        Some(("file", written)) if !written.is_empty() => {
            let path = at.reading().resolve(written);
            let found = contents(at, written, &path)?;
            warn_if_public(at, &path);
            Some(found)
        }
        _ => at.refuse_with("not a reference to a secret", NOTATION),
    }
}

/// The text that a secret's reference leads to, without the line end that editors add.
pub fn text(at: &At<'_>) -> Option<Secret<String>> {
    let found = bytes(at)?;
    match std::str::from_utf8(found.expose()) {
        Ok(text) if text.trim().is_empty() => at.refuse("the secret is empty"),
        Ok(text) => Some(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned())),
        Err(_) => at.refuse("the secret is not text"),
    }
}

/// The path of a file that is no secret's reference but must be readable and not empty.
pub fn file(at: &At<'_>) -> Option<(PathBuf, Secret<Vec<u8>>)> {
    let text = at.text()?;
    // `file:` is how secrets are written; here it would say the same thing twice, but means no harm.
    let written = text.strip_prefix("file:").unwrap_or(text);
    let path = at.reading().resolve(written);
    let found = contents(at, written, &path)?;
    Some((path, found))
}

/// Warns of a secret that every account of this machine can read.
pub fn warn_if_public(at: &At<'_>, path: &Path) {
    let Ok(found) = path.metadata() else { return };
    let mode = found.permissions().mode();
    if mode & 0o004 != 0 {
        let shown = path.display();
        at.warn_around(
            format!("every user of this machine can read {shown}"),
            format!("chmod o-rwx {shown}"),
        );
    }
}

/// Why a file cannot be read, without the number that only programmers know.
pub fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_lowercase()
}

/// The name of a variable; what is hardly one may be the secret itself.
fn shown_name(name: &str) -> &str {
    let usual = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    if name.chars().all(usual) {
        name
    } else {
        "that is named here"
    }
}

/// Whether what is written as a path is rather what should be behind one: a key as hex or Base64 has no dot, and does not begin
/// as paths do.
fn is_content(written: &str) -> bool {
    const LONG: usize = 32;
    let is_word = |c: char| c.is_ascii_alphanumeric() || "+/=-_".contains(c);
    let is_key = !written.starts_with('/') && written.chars().all(is_word);
    written.contains(char::is_control)
        || written.contains("-----BEGIN")
        || is_key && written.len() >= LONG
}

fn contents(at: &At<'_>, written: &str, path: &Path) -> Option<Secret<Vec<u8>>> {
    let mut bytes = Vec::new();
    let read = open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
    if read.is_err() && is_content(written) {
        let said = "this is the content of a file, and not its path".to_owned();
        return at.refuse_around(said, None);
    }
    let shown = printable(&path.to_string_lossy());
    match read {
        Err(error) => at.refuse_around(format!("cannot read {shown}: {}", reason(&error)), None),
        Ok(0) => at.refuse_around(format!("{shown} is empty"), None),
        Ok(length) if length as u64 > MAX_BYTES => {
            at.refuse_around(format!("{shown} is too large"), None)
        }
        Ok(_) => Some(Secret::new(bytes)),
    }
}
