//! Imports only go down: no module of the library uses one on its own floor or above.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test says what is wrong by failing"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// The floors, lowest first. Modules that share a floor do not know each other.
const FLOORS: [&[&str]; 9] = [
    &["base"],
    &["policy", "crypto", "telemetry", "outbound"],
    &["store"],
    &["identity", "acme"],
    &["gate"],
    &["proxy", "web"],
    &["config"],
    &["app"],
    &["cli"],
];

fn floor(module: &str) -> usize {
    let found = FLOORS.iter().position(|modules| modules.contains(&module));
    found.unwrap_or_else(|| panic!("'{module}' has no floor; give it one"))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let nested = folders.iter().flat_map(|folder| sources(folder));
    let own = files
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "rs"));
    own.chain(nested).collect()
}

/// Every module that a source names as `crate::module`, with its line. Comments do not import.
fn imports(text: &str) -> Vec<(usize, String)> {
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"));
    let named = lines.flat_map(|(at, line)| {
        line.split("crate::")
            .skip(1)
            .map(move |rest| (at + 1, rest.to_owned()))
    });
    let word = |rest: &str| -> String {
        rest.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    named
        .map(|(line, rest)| (line, word(&rest)))
        .filter(|(_, module)| !module.is_empty())
        .collect()
}

#[test]
fn imports_only_go_down() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut faults = Vec::new();
    let mut seen = 0;
    for path in sources(&root) {
        let relative = path.strip_prefix(&root).unwrap();
        let own = relative.iter().next().unwrap().to_str().unwrap();
        if relative.iter().count() == 1 {
            continue; // lib.rs and main.rs stand above the house
        }
        for (line, module) in imports(&fs::read_to_string(&path).unwrap()) {
            seen += 1;
            if module != own && floor(&module) >= floor(own) {
                faults.push(format!(
                    "src/{}:{line}: {own} imports {module}",
                    relative.display()
                ));
            }
        }
    }
    assert!(
        seen > 100,
        "only {seen} imports were found; the search is broken"
    );
    assert!(
        faults.is_empty(),
        "imports that do not go down:\n{}",
        faults.join("\n")
    );
}

#[test]
fn every_file_says_what_it_is_and_fits_on_a_desk() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for path in ["src", "tests", "benches"]
        .iter()
        .flat_map(|folder| sources(&root.join(folder)))
    {
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("//!"),
            "{} does not begin with //!",
            path.display()
        );
        let lines = text.lines().count();
        assert!(lines <= 400, "{} has {lines} lines", path.display());
    }
}
