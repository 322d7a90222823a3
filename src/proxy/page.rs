//! What somebody sees who is refused: what happened, and where they can go from there.
//!
//! It says nothing of rules, and of whoever looks at it no more than their own name.

use std::fmt;

/// A page, before it is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Page<'a> {
    /// What it is about.
    pub title: &'a str,
    /// What happened.
    pub detail: &'a str,
    /// As whom the reader is signed in.
    pub name: Option<&'a str>,
    /// Where they sign out, to come back as somebody else.
    pub account: Option<&'a str>,
    /// By what their request is found in the log.
    pub id: Option<&'a str>,
}

/// Text that is never markup.
struct Plain<'a>(&'a str);

impl fmt::Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (title, detail) = (Plain(self.title), Plain(self.detail));
        write!(
            f,
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
             <main>\n<h1>{title}</h1>\n<p>{detail}</p>\n"
        )?;
        if let Some(name) = self.name.map(Plain) {
            write!(f, "<p>Signed in as <strong>{name}</strong>.")?;
            if let Some(account) = self.account.map(Plain) {
                write!(
                    f,
                    " <a href=\"{account}\">Your account</a> is where you can sign out, and come back as somebody else."
                )?;
            }
            f.write_str("</p>\n")?;
        }
        if let Some(id) = self.id.map(Plain) {
            writeln!(
                f,
                "<p><small>Whoever runs this finds your request by its number: <code>{id}</code></small></p>"
            )?;
        }
        f.write_str("</main>\n</html>\n")
    }
}

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '&' => f.write_str("&amp;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            plain => write!(f, "{plain}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x_02_a_page_never_echoes_markup() {
        let hostile = "\"'><script>&lt;";
        let page = Page {
            title: hostile,
            detail: hostile,
            name: Some(hostile),
            account: Some(hostile),
            id: Some(hostile),
        };
        let page = page.to_string();
        assert!(!page.contains("<script") && !page.contains("\"'"), "{page}");
        let escaped = "&quot;&#39;&gt;&lt;script&gt;&amp;lt;";
        assert_eq!(page.matches(escaped).count(), 6, "{page}");
    }

    #[test]
    fn it_says_what_is_known() {
        let page = Page {
            title: "Forbidden",
            detail: "No.",
            ..Page::default()
        };
        let body = |page: Page<'_>| {
            let text = page.to_string();
            let (_, body) = text.split_once("<main>\n").unwrap();
            body.trim_end_matches("</main>\n</html>\n").to_owned()
        };
        insta::assert_snapshot!(body(page), @"
        <h1>Forbidden</h1>
        <p>No.</p>
        ");
        let known = Page {
            name: Some("bob"),
            id: Some("1f"),
            ..page
        };
        insta::assert_snapshot!(body(known), @"
        <h1>Forbidden</h1>
        <p>No.</p>
        <p>Signed in as <strong>bob</strong>.</p>
        <p><small>Whoever runs this finds your request by its number: <code>1f</code></small></p>
        ");
        let leaving = Page {
            account: Some("/auth/account"),
            ..known
        };
        assert!(body(leaving).contains("<a href=\"/auth/account\">Your account</a>"));
        // Where nobody is signed in there is nothing to sign out of.
        let stranger = Page {
            name: None,
            ..leaving
        };
        assert!(!body(stranger).contains("<a "));
    }
}
