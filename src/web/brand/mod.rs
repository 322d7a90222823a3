//! What our own pages look like: `brand:` of the file, read and tried before it is in force.
//!
//! A reload replaces all of it at once: name, colour, logo and templates.

pub mod color;
pub mod logo;

use std::path::PathBuf;
use std::sync::Arc;

use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use super::templates::{Templates, merged};
use color::Color;
use logo::Logo;

/// The look of the pages.
#[derive(Clone, Debug)]
pub struct Brand {
    /// Shown as the title of every page.
    pub name: String,
    /// Accent colour as `#rgb` or `#rrggbb`.
    pub color: String,
    /// Shown beside the name.
    pub logo: Option<Arc<Logo>>,
    /// The folder with templates that are taken before our own; those of letters are in its folder `mail`.
    pub folder: Option<PathBuf>,
    /// The pages, compiled.
    pub templates: Templates,
}

impl Default for Brand {
    fn default() -> Self {
        Self {
            name: "Portcullis".into(),
            color: "#2f5d8c".into(),
            logo: None,
            folder: None,
            templates: Templates::default(),
        }
    }
}

/// The backgrounds of `style.css` that coloured text stands on, light and dark.
const LIGHT: [Color; 2] = [Color::new(0xff, 0xff, 0xff), Color::new(0xf4, 0xf5, 0xf7)];
const DARK: [Color; 2] = [Color::new(0x1c, 0x20, 0x27), Color::new(0x12, 0x15, 0x1a)];

/// What text needs (WCAG 2.2, criterion 1.4.3), and a little more: browsers round.
const TEXT: f64 = 4.6;

impl Brand {
    /// A page in this look. `values` are what this page shows beside what all of them do.
    pub fn page(&self, status: StatusCode, name: &str, prefix: &str, values: Value) -> Response {
        let logo = self.logo.as_ref();
        let logo = logo.map(|logo| format!("{prefix}/static/logo?v={}", logo.version()));
        let icon = logo.clone();
        let icon = icon.unwrap_or_else(|| format!("{prefix}/static/icon.svg"));
        let brand = json!({ "name": self.name, "logo": logo, "icon": icon });
        let common = json!({ "brand": brand, "prefix": prefix });
        self.templates.page(status, name, &merged(common, values))
    }

    /// The style sheet of the colour. Whatever it is, text on it and in it can be read: buttons are labelled in
    /// black or white, links are darkened or lightened until they stand out.
    #[must_use]
    pub fn style(&self) -> String {
        let accent = self.color.parse().unwrap_or(Color::BLACK);
        format!(
            ":root {{ --accent: {accent}; --on-accent: {}; --link: light-dark({}, {}); }}\n",
            accent.label(),
            accent.readable(&LIGHT, TEXT),
            accent.readable(&DARK, TEXT),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_style_sheet_holds_nothing_but_colours() {
        let style = |color: &str| {
            Brand {
                color: color.into(),
                ..Brand::default()
            }
            .style()
        };
        insta::assert_snapshot!(style("#2f5d8c"), @":root { --accent: #2f5d8c; --on-accent: #ffffff; --link: light-dark(#2f5d8c, #6b8cad); }");
        insta::assert_snapshot!(style("#ff0"), @":root { --accent: #ffff00; --on-accent: #000000; --link: light-dark(#737300, #ffff00); }");
        insta::assert_snapshot!(style("red; } * { display: none"), @":root { --accent: #000000; --on-accent: #ffffff; --link: light-dark(#000000, #8a8a8a); }");
    }
}
