//! From a record to a user, or to the reason why it is none. Everything but what only the store knows.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::UNIX_EPOCH;

use crate::base::id::PublicId;
use crate::base::name::{Email, RoleName, Username};
use crate::base::random::Random;
use crate::base::secret::Secret;
use crate::base::time::Timestamp;
use crate::crypto::password::{StoredHash, UnusableHash};
use crate::store::users::{Imported, NewUser};

use super::read::{Field, Record};
use super::report::Report;

/// What rows are judged by, and what becomes of them.
pub struct Rows<'a> {
    pub roles: BTreeSet<RoleName>,
    /// For whoever has no such field.
    pub default_role: RoleName,
    pub superusers: bool,
    pub now: Timestamp,
    pub random: &'a Random,
    pub seen: Seen,
    pub report: Report,
}

/// The names of the rows before, and their lines.
#[derive(Default)]
pub struct Seen {
    usernames: HashMap<Username, u64>,
    addresses: HashMap<String, u64>,
}

/// The fields of one row.
struct Fields(BTreeMap<Field, String>);

impl Rows<'_> {
    /// Judges a record; one that is refused is in the report.
    pub fn take(&mut self, record: Record) -> Option<(u64, Imported)> {
        let line = record.line;
        let fields = match record.fields {
            Ok(fields) => Fields(fields),
            Err(reason) => return self.refuse(line, None, reason),
        };
        let username: Username = match fields.text(Field::Username).unwrap_or_default().parse() {
            Ok(username) => username,
            Err(fault) => return self.refuse(line, None, format!("the username {fault}")),
        };
        match self.read(line, &username, &fields) {
            Ok(row) => Some((line, row)),
            Err(reason) => self.refuse(line, Some(&username), reason),
        }
    }

    fn refuse<T>(&mut self, line: u64, name: Option<&Username>, reason: String) -> Option<T> {
        self.report.refuse(line, name, reason);
        None
    }

    fn read(&mut self, line: u64, name: &Username, fields: &Fields) -> Result<Imported, String> {
        let email: Option<Email> = fields
            .filled(Field::Email)
            .map(|text| text.parse().map_err(|fault| format!("'{text}' {fault}")))
            .transpose()?;
        self.seen.note(line, name, email.as_ref())?;
        let is_superuser = fields.flag(Field::Superuser, false)?;
        if is_superuser && !self.superusers {
            return Err("is a superuser; --superusers takes them, too".to_owned());
        }
        let user = NewUser {
            subject: PublicId::generate(self.random),
            username: name.clone(),
            may_reuse_name: true,
            email,
            password_hash: fields.hash()?,
            is_active: fields.flag(Field::Active, true)?,
            is_superuser,
            is_verified: fields.flag(Field::Verified, false)?,
            must_change_password: false,
            roles: self.roles(fields)?,
        };
        let created_at = fields.filled(Field::Created).map(moment).transpose()?;
        Ok(Imported {
            user,
            created_at: created_at.unwrap_or(self.now),
        })
    }

    fn roles(&self, fields: &Fields) -> Result<BTreeSet<RoleName>, String> {
        let text = fields.text(Field::Roles).unwrap_or_default();
        let names = text.split(|c: char| c == ';' || c == ',' || c.is_whitespace());
        let role = |name: &str| {
            let role: RoleName = name.parse().map_err(|fault| format!("'{name}': {fault}"))?;
            if self.roles.contains(&role) {
                Ok(role)
            } else {
                Err(format!(
                    "there is no role '{name}'; `portcullis role add` makes it"
                ))
            }
        };
        let named = names.filter(|name| !name.is_empty()).map(role);
        let named: BTreeSet<RoleName> = named.collect::<Result<_, _>>()?;
        // As whoever is added by hand without a word of roles.
        Ok(if named.is_empty() {
            [self.default_role.clone()].into()
        } else {
            named
        })
    }
}

impl Seen {
    fn note(&mut self, line: u64, name: &Username, email: Option<&Email>) -> Result<(), String> {
        let before = self.usernames.insert(name.clone(), line);
        if let Some(first) = before {
            return Err(format!("has the username of line {first}"));
        }
        let before = email.and_then(|it| self.addresses.insert(it.folded().to_owned(), line));
        match before {
            Some(first) => Err(format!("has the e-mail address of line {first}")),
            None => Ok(()),
        }
    }
}

impl Fields {
    fn text(&self, field: Field) -> Option<&str> {
        self.0.get(&field).map(String::as_str)
    }

    fn filled(&self, field: Field) -> Option<&str> {
        self.text(field).filter(|text| !text.is_empty())
    }

    fn flag(&self, field: Field, default: bool) -> Result<bool, String> {
        let Some(text) = self.filled(field) else {
            return Ok(default);
        };
        match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "1" => Ok(true),
            "false" | "f" | "no" | "n" | "0" => Ok(false),
            _ => Err(format!("'{text}' is neither true nor false")),
        }
    }

    /// The hash, if passwords can be compared with it. The text is never repeated: it may be a password.
    fn hash(&self) -> Result<Option<Secret<String>>, String> {
        // Django's mark of an account without a password begins with `!`.
        let Some(text) = self
            .filled(Field::Hash)
            .filter(|text| !text.starts_with('!'))
        else {
            return Ok(None);
        };
        match StoredHash::parse(text) {
            Ok(_) => Ok(Some(Secret::new(text.to_owned()))),
            Err(fault @ UnusableHash::Unknown) if !text.contains('$') => Err(format!(
                "the hash {fault}; passwords themselves are not imported: leave the field empty, and set one later"
            )),
            Err(fault) => Err(format!("the hash {fault}")),
        }
    }
}

/// `2024-05-01T12:00:00Z`, with a blank for the `T`, with an offset or none (UTC), or only the day.
fn moment(text: &str) -> Result<Timestamp, String> {
    let wrong = || format!("'{text}' is no time such as 2024-05-01T12:00:00Z");
    let full = if text.len() == "2024-05-01".len() {
        format!("{text} 00:00:00")
    } else {
        text.to_owned()
    };
    let (local, ahead) = offset(&full).unwrap_or((&full, 0));
    let at = humantime::parse_rfc3339_weak(local).map_err(|_| wrong())?;
    let since = at.duration_since(UNIX_EPOCH).map_err(|_| wrong())?;
    let millis = i64::try_from(since.as_millis()).map_err(|_| wrong())?;
    let at = millis.checked_sub(ahead * 60_000).filter(|&at| at >= 0);
    at.map(Timestamp::from_millis).ok_or_else(wrong)
}

/// What stands before `+02:00` (or `+0200`, or `+02`), and how many minutes that is ahead of UTC.
fn offset(text: &str) -> Option<(&str, i64)> {
    let at = text
        .rfind(['+', '-'])
        .filter(|&at| at > "2024-05-01T".len())?;
    let (local, offset) = text.split_at_checked(at)?;
    let (sign, digits) = offset.split_at_checked(1)?;
    let (hours, minutes) = digits.split_at_checked(2)?;
    let minutes = minutes.strip_prefix(':').unwrap_or(minutes);
    let minutes = if digits.len() == 2 { "00" } else { minutes };
    let number = |text: &str, most| {
        let plain = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse::<i64>().ok();
        number.filter(|&number| plain && number <= most)
    };
    let ahead = number(hours, 23)? * 60 + number(minutes, 59)?;
    Some((local, if sign == "-" { -ahead } else { ahead }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::user::import::read::Layout;

    const BCRYPT: &str = "$2b$04$E/vUcW7BOhQ5ONQwRgEYIOBnkbB7/vyx6J/p3QZuzKaKS5dZLqc7C";

    /// Each row as it would be taken, or why not.
    fn judged(text: &str, superusers: bool) -> String {
        let records = Layout::Csv.read(text.as_bytes()).unwrap();
        let random = Random::seeded(1);
        let role = |name: &str| name.parse::<RoleName>().unwrap();
        let mut rows = Rows {
            roles: ["user", "admin"].map(role).into(),
            default_role: role("user"),
            superusers,
            now: Timestamp::from_millis(0),
            random: &random,
            seen: Seen::default(),
            report: Report::of(&records),
        };
        let mut lines = Vec::new();
        for record in records.rows {
            if let Some((line, row)) = rows.take(record) {
                let user = row.user;
                let roles: Vec<_> = user.roles.iter().map(RoleName::as_str).collect();
                lines.push((
                    line,
                    format!(
                        "{} {} [{}] hash={} active={} verified={} superuser={} {}",
                        user.username,
                        user.email.as_ref().map_or("-", Email::as_str),
                        roles.join(","),
                        user.password_hash.is_some(),
                        user.is_active,
                        user.is_verified,
                        user.is_superuser,
                        row.created_at
                    ),
                ));
            }
        }
        lines.extend(
            rows.report
                .refused
                .iter()
                .map(|it| (it.line, it.reason.clone())),
        );
        lines.sort();
        lines
            .into_iter()
            .map(|(line, text)| format!("{line} {text}"))
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn offsets() {
        let noon = Ok(Timestamp::from_millis(1_714_564_800_000));
        for (text, at) in [
            ("2024-05-01T12:00:00Z", noon.clone()),
            ("2024-05-01 14:00:00+02:00", noon.clone()),
            ("2024-05-01T14:00:00+0200", noon.clone()),
            ("2024-05-01T14:00:00+02", noon.clone()),
            ("2024-05-01T06:30:00-0530", noon),
            ("1970-01-01", Ok(Timestamp::from_millis(0))),
        ] {
            assert_eq!(moment(text), at, "{text}");
        }
        for text in [
            "1970-01-01T00:00:00+01:00",
            "2024-05-01T12:00:00+200",
            "2024-05-01T12:00:00+24:00",
            "2024-05-01T12:00:00+02:60",
            "2024-05-01T12:00:00+02:0",
            "2024-05-01T12:00:00+9223372036854775807",
            "2024-05-01T12:00:00++2",
            "2024-05-01T12:00:00+é",
        ] {
            assert!(moment(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rows_are_taken_or_told_why_not() {
        let text = format!(
            "username,email,password_hash,roles,is_active,is_superuser,is_verified,created_at\n\
             Bob,Bob@X.test,{BCRYPT},admin;user,,,true,2024-05-01 12:00:00.5+02:00\n\
             carol,,,,False,0,1,2024-05-01\n\
             dave,,!unusable,user,,,,\n\
             BOB,other@x.test,,,,,,\n\
             erin,bob@x.TEST,,,,,,\n\
             ,,,,,,,\n\
             a b,,,,,,,\n\
             frank,nowhere,,,,,,\n\
             grace,,hunter2,,,,,\n\
             heidi,,{BCRYPT}x,,,,,\n\
             ivan,,,ghost,,,,\n\
             judy,,,,perhaps,,,\n\
             mallory,,,,,yes,,\n\
             niaj,,,,,,,yesterday\n"
        );
        insta::assert_snapshot!(judged(&text, false), @r"
        2 bob Bob@X.test [admin,user] hash=true active=true verified=true superuser=false 2024-05-01T10:00:00Z
        3 carol - [user] hash=false active=false verified=true superuser=false 2024-05-01T00:00:00Z
        4 dave - [user] hash=false active=true verified=false superuser=false 1970-01-01T00:00:00Z
        5 has the username of line 2
        6 has the e-mail address of line 2
        7 the username must not be empty
        8 the username holds characters that are not allowed in usernames (RFC 8265)
        9 'nowhere' is not an e-mail address
        10 the hash is of no kind that is known here (argon2, bcrypt, scrypt, PBKDF2); passwords themselves are not imported: leave the field empty, and set one later
        11 the hash is not a whole bcrypt hash
        12 there is no role 'ghost'; `portcullis role add` makes it
        13 'perhaps' is neither true nor false
        14 is a superuser; --superusers takes them, too
        15 'yesterday' is no time such as 2024-05-01T12:00:00Z
        ");
        assert!(
            !judged(&text, false).contains("hunter2"),
            "a password is repeated"
        );
        assert!(
            judged(&text, true)
                .contains("mallory - [user] hash=false active=true verified=false superuser=true")
        );
    }

    #[test]
    fn whoever_has_no_roles_is_a_user_and_who_has_some_has_those_alone() {
        let file = "username,roles\nann,\nbob, \ncarol,;\ndave,admin\n";
        insta::assert_snapshot!(judged(file, false), @"
        2 ann - [user] hash=false active=true verified=false superuser=false 1970-01-01T00:00:00Z
        3 bob - [user] hash=false active=true verified=false superuser=false 1970-01-01T00:00:00Z
        4 carol - [user] hash=false active=true verified=false superuser=false 1970-01-01T00:00:00Z
        5 dave - [admin] hash=false active=true verified=false superuser=false 1970-01-01T00:00:00Z
        ");
        insta::assert_snapshot!(judged("username\nbob\n", false), @"2 bob - [user] hash=false active=true verified=false superuser=false 1970-01-01T00:00:00Z");
    }

    #[test]
    fn moments() {
        for (text, wanted) in [
            ("2024-05-01T12:00:00Z", Some("2024-05-01T12:00:00Z")),
            ("2024-05-01 12:00:00", Some("2024-05-01T12:00:00Z")),
            ("2024-05-01T12:00:00.123456", Some("2024-05-01T12:00:00Z")),
            ("2024-05-01T12:00:00-05:30", Some("2024-05-01T17:30:00Z")),
            ("2024-05-01 12:00:00+00", Some("2024-05-01T12:00:00Z")),
            ("2024-05-01", Some("2024-05-01T00:00:00Z")),
            ("2024-13-01", None),
            ("1714564800", None),
            ("", None),
        ] {
            let found = moment(text).ok().map(|at| at.to_string());
            assert_eq!(found.as_deref(), wanted, "{text:?}");
        }
    }
}
