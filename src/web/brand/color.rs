//! Colours and whether they can be read: relative luminance and contrast of WCAG 2.2.

use std::fmt;
use std::str::FromStr;

/// An sRGB colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Color([u8; 3]);

/// The text is not a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a colour")]
pub struct NotAColor;

impl Color {
    /// Black.
    pub const BLACK: Self = Self([0; 3]);
    /// White.
    pub const WHITE: Self = Self([255; 3]);

    /// Of red, green and blue.
    #[must_use]
    pub const fn new(red: u8, green: u8, blue: u8) -> Self {
        Self([red, green, blue])
    }

    /// Black or white, whichever is read better on it; one of them always has a contrast above 4.5.
    #[must_use]
    pub fn label(self) -> Self {
        if self.contrast(Self::WHITE) >= self.contrast(Self::BLACK) {
            Self::WHITE
        } else {
            Self::BLACK
        }
    }

    /// The nearest shade that has this contrast with each of the grounds, which are all dark or all light.
    #[must_use]
    pub fn readable(self, grounds: &[Self], least: f64) -> Self {
        let fits = |shade: &Self| {
            grounds
                .iter()
                .all(|ground| shade.contrast(*ground) >= least)
        };
        let end = grounds.first().map_or(Self::BLACK, |ground| ground.label());
        (0..=100u8)
            .map(|step| self.towards(end, f64::from(step) / 100.0))
            .find(fits)
            .unwrap_or(end)
    }

    /// From 1 to 21.
    #[must_use]
    pub fn contrast(self, other: Self) -> f64 {
        let (a, b) = (self.luminance(), other.luminance());
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    fn luminance(self) -> f64 {
        let [red, green, blue] = self.0.map(|part| {
            let part = f64::from(part) / 255.0;
            if part <= 0.04045 {
                part / 12.92
            } else {
                ((part + 0.055) / 1.055).powf(2.4)
            }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    fn towards(self, end: Self, share: f64) -> Self {
        let mix = |from: u8, to: u8| {
            let mixed = f64::from(from) + (f64::from(to) - f64::from(from)) * share;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between two bytes"
            )]
            let byte = mixed.round() as u8;
            byte
        };
        let (from, to) = (self.0, end.0);
        Self([
            mix(from[0], to[0]),
            mix(from[1], to[1]),
            mix(from[2], to[2]),
        ])
    }
}

impl FromStr for Color {
    type Err = NotAColor;

    fn from_str(text: &str) -> Result<Self, NotAColor> {
        let digits = text.strip_prefix('#').ok_or(NotAColor)?;
        let long: String = match digits.len() {
            3 => digits.chars().flat_map(|digit| [digit, digit]).collect(),
            _ => digits.to_owned(),
        };
        let mut bytes = [0; 3];
        hex::decode_to_slice(&long, &mut bytes).map_err(|_| NotAColor)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", hex::encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_and_read() {
        for (text, is) in [
            ("#0a5", Some("#00aa55")),
            ("#2F5d8c", Some("#2f5d8c")),
            ("2f5d8c", None),
            ("#2f5d8", None),
            ("#2f5d8g", None),
            ("#\u{e9}a", None),
            ("", None),
        ] {
            let read = text.parse::<Color>().ok().map(|color| color.to_string());
            assert_eq!(read.as_deref(), is, "{text}");
        }
        assert!((Color::BLACK.contrast(Color::WHITE) - 21.0).abs() < 0.01);
    }

    #[test]
    fn every_colour_can_be_read() {
        let grounds = [[Color::WHITE; 1], [Color::new(0x1c, 0x20, 0x27); 1]];
        let parts = [0, 51, 102, 128, 153, 204, 255];
        for red in parts {
            for green in parts {
                for blue in parts {
                    let color = Color::new(red, green, blue);
                    assert!(color.contrast(color.label()) >= 4.5, "{color}");
                    for ground in &grounds {
                        let shade = color.readable(ground, 4.6);
                        assert!(shade.contrast(ground[0]) >= 4.6, "{color} on {ground:?}");
                    }
                }
            }
        }
    }
}
