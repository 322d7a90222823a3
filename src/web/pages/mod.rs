//! Pages for people: they work without JavaScript, with a keyboard, in light and dark.

pub mod home;
pub mod login;
