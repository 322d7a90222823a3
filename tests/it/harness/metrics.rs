//! Reading the Prometheus text format.

use std::collections::BTreeMap;

/// The labels of one sample.
pub type Labels = BTreeMap<String, String>;

/// Every sample of one look at `/metrics`.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    samples: Vec<(String, Labels, f64)>,
}

impl Metrics {
    /// Reads the text format; comments are skipped.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Self {
            samples: lines.filter_map(sample).collect(),
        }
    }

    /// The sum of all samples of `name` that carry (at least) these labels.
    pub fn sum(&self, name: &str, wanted: &[(&str, &str)]) -> f64 {
        let fits = |labels: &Labels| {
            wanted
                .iter()
                .all(|(key, value)| labels.get(*key).is_some_and(|found| found == value))
        };
        self.samples
            .iter()
            .filter(|(found, labels, _)| found == name && fits(labels))
            .map(|(_, _, value)| value)
            .sum()
    }

    /// The sample with exactly these labels; 0 when there is none.
    pub fn exactly(&self, name: &str, labels: &Labels) -> f64 {
        self.samples
            .iter()
            .find(|(found, having, _)| found == name && having == labels)
            .map_or(0.0, |(_, _, value)| *value)
    }

    /// The label sets under which `name` was counted.
    pub fn labels_of(&self, name: &str) -> Vec<Labels> {
        self.samples
            .iter()
            .filter(|(found, _, _)| found == name)
            .map(|(_, labels, _)| labels.clone())
            .collect()
    }

    /// Whether there is any sample of this name.
    pub fn has(&self, name: &str) -> bool {
        self.samples.iter().any(|(found, _, _)| found == name)
    }
}

fn sample(line: &str) -> Option<(String, Labels, f64)> {
    let (name, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok()?;
    match name.split_once('{') {
        None => Some((name.to_owned(), Labels::new(), value)),
        Some((name, labels)) => {
            let labels = labels.trim_end_matches('}');
            Some((name.to_owned(), pairs(labels), value))
        }
    }
}

fn pairs(text: &str) -> Labels {
    text.split("\",")
        .filter_map(|pair| pair.split_once("=\""))
        .map(|(key, value)| {
            (
                key.trim().to_owned(),
                value.trim_end_matches('"').to_owned(),
            )
        })
        .collect()
}
