//! What a browser or a program calls itself, in words of ours: anybody can call it anything. Never believed.

/// Looked for in this order: many browsers name others as well.
const BROWSERS: [(&str, &str); 12] = [
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
    ("python", "Python"),
    ("Go-http-client", "Go"),
    ("okhttp", "an Android app"),
];

const SYSTEMS: [(&str, &str); 7] = [
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
];

/// What it is known to be, where it says something that is known.
#[must_use]
pub fn known(user_agent: &str) -> Option<String> {
    let find = |list: &[(&str, &'static str)]| {
        let found = list.iter().find(|(mark, _)| user_agent.contains(mark));
        found.map(|(_, name)| *name)
    };
    match (find(&BROWSERS), find(&SYSTEMS)) {
        (Some(browser), Some(system)) => Some(format!("{browser} on {system}")),
        (Some(browser), None) => Some(browser.to_owned()),
        (None, Some(system)) => Some(format!("A program on {system}")),
        (None, None) => None,
    }
}
