//! Which new passwords are refused: too short, too long, or among the first that anybody would try (ASVS 5
//! section 6.2, NIST SP 800-63B-4 section 3.1.1.2).
//!
//! There are no rules of composition: they make passwords worse. What is guessed first is refused by two lists,
//! the most common passwords of all and the words that belong to this account and this site; neither needs a
//! network.

use unicode_normalization::UnicodeNormalization;

use super::Settings;
use super::common::is_common;
use crate::base::name::{Email, Username};

/// Why a password is refused before it is hashed. The texts follow "the password".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordFault {
    /// Fewer characters than asked.
    #[error("must have at least {0} characters")]
    TooShort(usize),
    /// More than 1,024 bytes, which nobody types and which costs time to hash.
    #[error("must have at most 1024 bytes")]
    TooLong,
    /// NUL, which other programs take for the end: what follows it would protect nothing there.
    #[error("must not hold the character NUL")]
    Nul,
    /// On the list.
    #[error("is one of the most common passwords")]
    Common,
    /// On the list, but for what guessers append first.
    #[error("is one of the most common passwords with digits or signs added")]
    NearlyCommon,
    /// Made of words that anybody would guess who knows for whom and for what it is.
    #[error("must hold more than {0}, digits and signs")]
    Guessable(Word),
}

/// What a word of a [`Context`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// The username.
    Username,
    /// A part of the e-mail address.
    Email,
    /// A part of the site's name.
    Site,
    /// What this program is called.
    Product,
}

/// The words that belong to an account and to the place it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    words: Vec<(Word, Vec<char>)>,
}

/// What leads from the start of a password to a place in it.
#[derive(Clone, Copy)]
enum Way {
    /// Neither words nor digits do.
    None,
    /// Digits alone.
    Digits,
    /// Words, of which this is the first, and perhaps digits.
    Word(Word),
}

/// How many digits and signs around a common password do not make it another.
const AROUND: usize = 4;

impl std::fmt::Display for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Username => "your username",
            Self::Email => "your e-mail address",
            Self::Site => "the name of this site",
            Self::Product => "the name of this gateway",
        })
    }
}

impl Default for Context {
    /// What is known without knowing anybody.
    fn default() -> Self {
        let context = Self { words: Vec::new() };
        context
            .with(Word::Product, "portcullis")
            .with(Word::Product, "gateway")
    }
}

impl Context {
    /// Adds the words of a text, and the whole of it.
    #[must_use]
    pub fn with(mut self, word: Word, text: &str) -> Self {
        let folded = fold(text);
        let parts = folded.split(|c: char| !c.is_alphanumeric());
        for part in parts.chain([folded.as_str()]) {
            let letters: Vec<char> = part.chars().filter(|c| c.is_alphanumeric()).collect();
            let known = self.words.iter().any(|(_, known)| *known == letters);
            if !known && is_word(word, &letters) {
                self.words.push((word, letters));
            }
        }
        self
    }

    /// Adds the account's names.
    #[must_use]
    pub fn of_user(self, username: &Username, email: Option<&Email>) -> Self {
        let named = self.with(Word::Username, username.as_str());
        match email {
            Some(email) => named.with(Word::Email, email.as_str()),
            None => named,
        }
    }

    /// The first word of a password that is made of nothing but such words, digits and signs.
    fn makes(&self, folded: &str) -> Option<Word> {
        let text: Vec<char> = folded.chars().filter(|c| c.is_alphanumeric()).collect();
        let mut ways = vec![Way::None; text.len() + 1];
        ways.first_mut()?.join(Way::Digits);
        for at in 0..text.len() {
            let (way, rest) = (*ways.get(at)?, text.get(at..)?);
            if rest.first().is_some_and(|c| !c.is_alphabetic()) {
                ways.get_mut(at + 1)?.join(way);
            }
            for (word, letters) in &self.words {
                if rest.starts_with(letters) {
                    ways.get_mut(at + letters.len())?.join(way.over(*word));
                }
            }
        }
        match ways.last()? {
            Way::Word(word) => Some(*word),
            Way::None | Way::Digits => None,
        }
    }
}

impl Way {
    fn over(self, word: Word) -> Self {
        match self {
            Self::Digits => Self::Word(word),
            Self::None | Self::Word(_) => self,
        }
    }

    fn join(&mut self, other: Self) {
        *self = match (*self, other) {
            (way @ Self::Word(_), _) | (Self::None, way) | (way, Self::None) => way,
            (Self::Digits, way) => way,
        };
    }
}

/// Digits are between words anyway, unless they are somebody's name: a site at 10.0.0.1 makes no word of `1`.
fn is_word(word: Word, letters: &[char]) -> bool {
    const LEAST_DIGITS: usize = 4;
    let named = word == Word::Username && letters.len() >= LEAST_DIGITS;
    named || letters.iter().any(|c| c.is_alphabetic())
}

/// Checks a password in its normal form.
pub(super) fn check(
    normal: &str,
    settings: &Settings,
    context: &Context,
) -> Result<(), PasswordFault> {
    if normal.chars().count() < settings.min_length {
        return Err(PasswordFault::TooShort(settings.min_length));
    }
    if normal.contains('\0') {
        return Err(PasswordFault::Nul);
    }
    if settings.blocklist {
        return unguessable(&fold(normal), context);
    }
    Ok(())
}

fn unguessable(folded: &str, context: &Context) -> Result<(), PasswordFault> {
    if is_common(folded) {
        return Err(PasswordFault::Common);
    }
    if let Some(word) = context.makes(folded) {
        return Err(PasswordFault::Guessable(word));
    }
    let core = folded.trim_matches(|c: char| !c.is_alphabetic());
    let around = folded.chars().count() - core.chars().count();
    if around <= AROUND && is_common(core) {
        return Err(PasswordFault::NearlyCommon);
    }
    Ok(())
}

/// Width, compatibility forms and case are no obstacle to a guesser.
fn fold(text: &str) -> String {
    text.nfkc().collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::password::Password;

    fn context() -> Context {
        let email = "a.liddell+shop@wonder-land.example".parse().unwrap();
        Context::default()
            .with(Word::Site, "Café Rabbit")
            .with(Word::Site, "app.hole.test")
            .with(Word::Site, "10.0.0.1")
            .of_user(&"al1ce".parse().unwrap(), Some(&email))
    }

    fn chosen(text: &str, settings: &Settings) -> Result<(), PasswordFault> {
        Password::chosen(text, settings, &context()).map(drop)
    }

    #[test]
    fn a_11_lengths_and_characters() {
        use PasswordFault::{Nul, TooLong, TooShort};
        let long = Settings {
            min_length: 15,
            ..Settings::DEFAULT
        };
        let cases: &[(&str, Result<(), PasswordFault>)] = &[
            ("", Err(TooShort(8))),
            ("x", Err(TooShort(8))),
            ("sevenÜ7", Err(TooShort(8))),
            // Eight characters, 32 bytes; and seven that look like eight before they are composed.
            ("😀🐎🌍🍕🎩🚲📎🧊", Ok(())),
            ("zwo\u{308}lf_x", Err(TooShort(8))),
            ("  mind the gap  ", Ok(())),
            (&"xyzzy-".repeat(22), Ok(())),
            (&"0123456789abcdef".repeat(64), Ok(())),
            (&"é".repeat(512), Ok(())),
            (&("x".repeat(1024) + "y"), Err(TooLong)),
            (&"é".repeat(513), Err(TooLong)),
            (&"x".repeat(1 << 20), Err(TooLong)),
            ("mind\0the gap", Err(Nul)),
        ];
        for (text, wanted) in cases {
            let shown: String = text.chars().take(20).collect();
            assert_eq!(chosen(text, &Settings::DEFAULT), *wanted, "{shown:?}");
        }
        assert_eq!(chosen("fourteen chars", &long), Err(TooShort(15)));
        assert_eq!(chosen("fifteen chars!!", &long), Ok(()));
    }

    #[test]
    fn a_15_common_and_context_words() {
        use PasswordFault::{Common, Guessable, NearlyCommon};
        use Word::{Email, Product, Site, Username};
        let cases: &[(&str, Result<(), PasswordFault>)] = &[
            ("password", Err(Common)),
            ("PassWord1", Err(Common)),
            ("ｐａｓｓｗｏｒｄ", Err(Common)),
            ("1234567890", Err(Common)),
            ("sunshine-77", Err(NearlyCommon)),
            ("!!password??", Err(NearlyCommon)),
            ("gateway2026", Err(Guessable(Product))),
            ("Portcullis!", Err(Guessable(Product))),
            ("al1ce-al1ce", Err(Guessable(Username))),
            ("2026 AL1CE 2026", Err(Guessable(Username))),
            ("a.liddell+shop@wonder-land.example", Err(Guessable(Email))),
            ("Liddell#1865", Err(Guessable(Email))),
            ("Wonder-Land 77", Err(Guessable(Email))),
            ("cafe\u{301}rabbit99", Err(Guessable(Site))),
            ("app.hole.test", Err(Guessable(Site))),
            ("rabbithole1", Err(Guessable(Site))),
            // Such words in a phrase of one's own are nobody's business, and digits alone are not such words.
            ("al1ce falls down", Ok(())),
            ("down the rabbit hole", Ok(())),
            ("83746592018374", Ok(())),
            ("correct horse battery", Ok(())),
        ];
        for (text, wanted) in cases {
            assert_eq!(chosen(text, &Settings::DEFAULT), *wanted, "{text:?}");
            let off = Settings {
                blocklist: false,
                ..Settings::DEFAULT
            };
            assert_eq!(chosen(text, &off), Ok(()), "{text:?}, without lists");
        }
    }

    #[test]
    fn a_name_of_digits_is_a_word_too() {
        let context = Context::default().of_user(&"4711081500".parse().unwrap(), None);
        let chosen = |text| Password::chosen(text, &Settings::DEFAULT, &context).map(drop);
        assert_eq!(
            chosen("4711081500"),
            Err(PasswordFault::Guessable(Word::Username))
        );
        assert_eq!(chosen("4711081500 is not it"), Ok(()));
        assert_eq!(
            PasswordFault::Guessable(Word::Username).to_string(),
            "must hold more than your username, digits and signs"
        );
    }
}
