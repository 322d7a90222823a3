//! What our own pages look like: `brand:` of the file.

/// Name and colour of the pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brand {
    /// Shown as the title of every page.
    pub name: String,
    /// Accent colour as `#rgb` or `#rrggbb`.
    pub color: String,
}

impl Default for Brand {
    fn default() -> Self {
        Self {
            name: "Portcullis".into(),
            color: "#2f5d8c".into(),
        }
    }
}
