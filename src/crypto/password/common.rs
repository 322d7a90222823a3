//! The passwords that everybody tries first, embedded, so that nobody needs to be asked.
//!
//! `common.txt` holds one a line in the order of their bytes, in NFKC and lower case. It is the list that Django
//! ships for the same purpose (the 20,000 most common of published leaks, gathered by Royce Williams,
//! <https://gist.github.com/roycewilliams/226886fd01572964e1431ac8afc999ce>; Django's copy is under the
//! three-clause BSD licence), less what is shorter than four characters. More than 8,000 of them have the eight
//! characters that the rules ask for anyway; ASVS 5 section 6.2.4 asks for 3,000.

use std::cmp::Ordering;

const LIST: &str = include_str!("common.txt");

/// Whether this text, in NFKC and lower case, is one of them.
pub(super) fn is_common(folded: &str) -> bool {
    find(LIST.as_bytes(), folded.as_bytes())
}

/// Binary search over lines: every step looks at the line that holds the middle byte.
fn find(mut list: &[u8], wanted: &[u8]) -> bool {
    while !list.is_empty() {
        let (before, from_middle) = list.split_at(list.len() / 2);
        let start = before
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        let rest = from_middle.iter().position(|&byte| byte == b'\n');
        let end = rest.map_or(list.len(), |at| before.len() + at);
        let line = list.get(start..end).unwrap_or_default();
        list = match wanted.cmp(line) {
            Ordering::Equal => return true,
            Ordering::Less => list.get(..start),
            Ordering::Greater => list.get(end + 1..),
        }
        .unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_found_and_nothing_between_them() {
        let mut before = "";
        for line in LIST.lines() {
            assert!(before < line, "{before:?} before {line:?}");
            assert!(is_common(line), "{line:?}");
            assert!(!is_common(&format!("{line}\0")), "{line:?}");
            before = line;
        }
        for no in ["", "\n", "123456\n", "correct horse", "\u{10ffff}", "~~~~"] {
            assert!(!is_common(no), "{no:?}");
        }
    }

    #[test]
    fn there_are_enough_of_them() {
        let long = LIST.lines().filter(|line| line.chars().count() >= 8);
        assert!(long.count() > 8_000);
        assert!(LIST.len() < 200 * 1024);
    }
}
