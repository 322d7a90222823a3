//! What our own pages look like: `brand:`. The logo and the templates are read here, and tried.

use std::path::Path;
use std::sync::Arc;

use crate::web::brand::Brand;
use crate::web::brand::logo::Logo;
use crate::web::templates::{TemplateFault, Templates};

use super::raw::{At, Object};
use super::secrets;
use super::tree::Value;

/// The section.
pub fn brand(file: &Object<'_>) -> Brand {
    let mut brand = Brand::default();
    let Some(object) = file.section("brand", "brand") else {
        return brand;
    };
    if let Some(name) = object.get("name").and_then(|at| title(&at)) {
        brand.name = name;
    }
    if let Some(color) = object.get("color").and_then(|at| color(&at)) {
        brand.color = color;
    }
    brand.logo = object.get("logo").and_then(|at| logo(&at)).map(Arc::new);
    if let Some(at) = object.get("templates") {
        templates(&at, &mut brand);
    }
    brand
}

fn title(at: &At<'_>) -> Option<String> {
    let text = at.text()?.trim();
    let fits = (1..=64).contains(&text.chars().count()) && !text.contains(char::is_control);
    if fits {
        Some(text.to_owned())
    } else {
        at.refuse("must have 1 to 64 characters")
    }
}

fn color(at: &At<'_>) -> Option<String> {
    // An unquoted colour is a comment to YAML, which leaves nothing.
    if *at.value() == Value::Null {
        return at.refuse_with(
            "expected a colour, found nothing",
            "put it in quotes: \"#0a5\"",
        );
    }
    let text = at.text()?;
    let digits = text.strip_prefix('#').unwrap_or_default();
    let fits = matches!(digits.len(), 3 | 6) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if fits {
        Some(text.to_owned())
    } else {
        at.refuse_with("not a colour", "write it like \"#0a5\" or \"#2f5d8c\"")
    }
}

fn logo(at: &At<'_>) -> Option<Logo> {
    let (path, bytes) = secrets::file(at)?;
    let logo = Logo::new(bytes.expose().clone());
    logo.map_err(|error| at.refuse_around::<()>(format!("{} {error}", path.display()), None))
        .ok()
}

fn templates(at: &At<'_>, brand: &mut Brand) {
    let Some(text) = at.text() else { return };
    let folder = at.reading().resolve(text);
    match load(&folder) {
        Ok((templates, strangers)) => {
            for name in strangers {
                at.warn_around(
                    format!("{} replaces no page", folder.join(name).display()),
                    "the names are those of the pages, as login.html",
                );
            }
            brand.templates = templates;
            brand.folder = Some(folder);
        }
        Err(TemplateFault::Read(path, error)) => {
            let (path, why) = (path.display(), secrets::reason(&error));
            let _: Option<()> = at.refuse_around(format!("cannot read {path}: {why}"), None);
        }
        Err(error) => {
            let _: Option<()> = at.refuse_around(error.to_string(), None);
        }
    }
}

fn load(folder: &Path) -> Result<(Templates, Vec<String>), TemplateFault> {
    let strangers = Templates::strangers(folder)?;
    Ok((Templates::load(folder)?, strangers))
}
