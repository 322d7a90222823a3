//! Data, as tables for people or as JSON for programs.

use serde::Serialize;

/// For whom data is printed.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Format {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

impl Format {
    /// Prints data: as JSON, or in aligned columns under their titles.
    ///
    /// # Errors
    /// When the data cannot be written as JSON.
    pub fn print<const N: usize>(
        self,
        data: &impl Serialize,
        titles: [&str; N],
        rows: impl Iterator<Item = [String; N]>,
    ) -> anyhow::Result<()> {
        if self.json {
            println!("{}", serde_json::to_string_pretty(data)?);
        } else {
            table(titles, &rows.collect::<Vec<_>>());
        }
        Ok(())
    }
}

/// Prints rows under titles, in columns as wide as what is in them.
fn table<const N: usize>(titles: [&str; N], rows: &[[String; N]]) {
    let mut widths = titles.map(|title| title.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    print_row(&titles.map(str::to_owned), &widths);
    for row in rows {
        print_row(row, &widths);
    }
}

fn print_row<const N: usize>(cells: &[String; N], widths: &[usize; N]) {
    let padded: Vec<String> = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{cell:<width$}"))
        .collect();
    println!("{}", padded.join("  ").trim_end());
}
