//! What a form was made from, so that it changes nothing else: meanwhile somebody else may have changed what it shows, or
//! another link may have been opened.

use crate::base::token::TokenHash;
use crate::web::form::Fields;

/// The mark that a form carries of what it was made from.
#[must_use]
pub fn mark(from: &str) -> String {
    hex::encode(TokenHash::of(from.as_bytes()).as_bytes())
}

/// Whether a form was made from this.
#[must_use]
pub fn is_from(fields: &Fields, from: &str) -> bool {
    fields.text("seen") == mark(from)
}
