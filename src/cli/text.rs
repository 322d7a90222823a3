//! How answers look on a terminal: aligned columns, wrapped at the width people read, colours only where a
//! person is looking.

use std::fmt::Write as _;
use std::io::IsTerminal;

/// Lines longer than this are wrapped.
pub const WIDTH: usize = 100;

/// Colours, or none.
#[derive(Clone, Copy, Debug)]
pub struct Ink {
    coloured: bool,
}

/// Rows of text under headings. The last column is wrapped, the others are as wide as they need to be.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Vec<Row>,
    indent: usize,
}

#[derive(Clone, Debug, Default)]
struct Row {
    cells: Vec<String>,
    /// Lines below it that keep to no column.
    notes: Vec<String>,
}

impl Ink {
    /// Colours if standard output is a terminal and nobody asked for none (<https://no-color.org>).
    #[must_use]
    pub fn of_stdout() -> Self {
        let refused = crate::config::environment("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            coloured: std::io::stdout().is_terminal() && !refused,
        }
    }

    /// Good news.
    #[must_use]
    pub fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// Bad news.
    #[must_use]
    pub fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    /// Something to look at twice.
    #[must_use]
    pub fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// Something to look at last.
    #[must_use]
    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// Something to look at first.
    #[must_use]
    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.coloured {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

impl Table {
    /// A table set in by some columns.
    #[must_use]
    pub const fn indented(indent: usize) -> Self {
        Self {
            rows: Vec::new(),
            indent,
        }
    }

    /// Adds a row.
    pub fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(Row {
            cells: cells.into_iter().map(Into::into).collect(),
            notes: Vec::new(),
        });
    }

    /// Adds a line below the last row.
    pub fn note(&mut self, text: impl Into<String>) {
        if let Some(row) = self.rows.last_mut() {
            row.notes.push(text.into());
        }
    }

    /// The table as text; `paint` colours the cells of a row and a column.
    #[must_use]
    pub fn render(&self, paint: impl Fn(usize, usize, &str) -> String) -> String {
        let columns = self
            .rows
            .iter()
            .map(|row| row.cells.len())
            .max()
            .unwrap_or(0);
        let column = |column: usize| {
            self.rows
                .iter()
                .filter_map(move |row| row.cells.get(column))
        };
        let width = |at: usize| column(at).map(|cell| shown(cell)).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns.saturating_sub(1)).map(width).collect();
        let before = self.indent + widths.iter().map(|width| width + 2).sum::<usize>();
        let room = WIDTH.saturating_sub(before).max(24);
        let mut out = String::new();
        for (at, row) in self.rows.iter().enumerate() {
            self.render_row(&mut out, &row.cells, &widths, room, |column, cell| {
                paint(at, column, cell)
            });
            for note in &row.notes {
                let _ = writeln!(out, "{}{note}", " ".repeat(self.indent + 6));
            }
        }
        out
    }

    fn render_row(
        &self,
        out: &mut String,
        row: &[String],
        widths: &[usize],
        room: usize,
        paint: impl Fn(usize, &str) -> String,
    ) {
        let mut line = " ".repeat(self.indent);
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let gap = " ".repeat(width.saturating_sub(shown(cell)) + 2);
            let _ = write!(line, "{}{gap}", paint(column, cell));
        }
        let before = self.indent + widths.iter().map(|width| width + 2).sum::<usize>();
        let last = row
            .get(widths.len())
            .map(String::as_str)
            .unwrap_or_default();
        for (at, part) in wrap(last, room).iter().enumerate() {
            let start = if at == 0 {
                std::mem::take(&mut line)
            } else {
                " ".repeat(before)
            };
            let text = format!("{start}{}", paint(widths.len(), part));
            out.push_str(text.trim_end());
            out.push('\n');
        }
    }
}

/// `3 rules`, `1 rule`.
#[must_use]
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn shown(text: &str) -> usize {
    text.chars().count()
}

/// Breaks at spaces, but not between a key and its value; what is longer than the room stays whole. Always
/// at least one line.
fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut part = String::new();
    for word in text.split(' ') {
        part.push_str(word);
        if word.ends_with(':') {
            part.push(' ');
            continue;
        }
        let part = std::mem::take(&mut part);
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(&part),
            Some(line) if shown(line) + 1 + shown(&part) <= room => {
                line.push(' ');
                line.push_str(&part);
            }
            _ => lines.push(part),
        }
    }
    lines.extend(Some(part).filter(|rest| !rest.is_empty()));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_the_last_one_wraps() {
        let mut table = Table::indented(2);
        table.row(["a", "longer", "x"]);
        table.row(["bbb", "c", &"word ".repeat(20)]);
        let text = table.render(|_, _, cell| cell.to_owned());
        insta::assert_snapshot!(text, @"
          a    longer  x
          bbb  c       word word word word word word word word word word word word word word word word word
                       word word word
        ");
        assert!(text.lines().all(|line| line.len() <= WIDTH));
    }
}
