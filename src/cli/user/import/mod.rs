//! `user import`: users and their password hashes from a file, all of them or none.
//!
//! The file is read whole and every row is judged before the store is asked for anything, because nobody else can
//! write while the rows are written. All of it is one transaction. A row that cannot be taken stops the import,
//! which then tells of every such row, unless `--skip-bad` says to leave those out.
//!
//! Nobody who is there already is changed, and no password is ever read: hashes only.

mod read;
mod report;
mod row;

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use crate::base::name::RoleName;
use crate::cli::output::Format;
use crate::cli::progress::Progress;
use crate::store::users::Imported;

use self::read::Layout;
use self::report::Report;
use self::row::Rows;
use super::Stored;

/// What a file may say of a user.
const COLUMNS: &str = "\
Columns of a CSV file (named in its first line), or fields of JSON lines:
  username       the only one that must be there
  email          the e-mail address
  password_hash  argon2, bcrypt, scrypt or PBKDF2, as Django, passlib, pwdlib or PHC write it (also: hashed_password,
                 password); empty: no password until one is set
  roles          separated by semicolons or spaces, in place of user; without, or empty: user
  is_active      true or false, like the next two; without: true
  is_superuser   without: false
  is_verified    without: false
  created_at     such as 2024-05-01T12:00:00Z (also: date_joined); without: now";

/// Options of `user import`.
#[derive(Debug, clap::Args)]
#[command(after_help = COLUMNS)]
pub struct Args {
    /// The file, or - for standard input.
    file: PathBuf,
    /// How the file is written [default: by the end of its name, else csv].
    #[arg(long, value_enum)]
    format: Option<Layout>,
    /// Say what would happen, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Leave out rows that cannot be taken, and import the others.
    #[arg(long)]
    skip_bad: bool,
    /// Take superusers, too.
    #[arg(long)]
    superusers: bool,
    #[command(flatten)]
    output: Format,
}

/// How many rows go to the store together.
const CHUNK: usize = 500;

pub async fn run(args: &Args, stored: &Stored) -> anyhow::Result<ExitCode> {
    let text = read_all(&args.file)?;
    let layout = args.format.unwrap_or_else(|| Layout::of(&args.file));
    let records = layout.read(&text)?;
    // Those of the file that nobody has taken over yet can be given as well, and are taken over only when they are.
    let known = stored.roles().await?;
    let of_file = stored.config.roles.keys().cloned();
    let mut rows = Rows {
        roles: known.iter().cloned().chain(of_file).collect(),
        default_role: "user".parse::<RoleName>()?,
        superusers: args.superusers,
        now: stored.clock.now(),
        random: &stored.random,
        seen: row::Seen::default(),
        report: Report::of(&records),
    };
    let accepted: Vec<(u64, Imported)> = records
        .rows
        .into_iter()
        .filter_map(|record| rows.take(record))
        .collect();
    let given = accepted.iter().flat_map(|(_, row)| row.user.roles.clone());
    let given: BTreeSet<RoleName> = given.collect();
    let mut report = rows.report;
    if stored.lacks(&given).await? {
        // The store cannot give them yet; that they can be given is known. And what is refused must have changed nothing.
        let mut rows = accepted.clone();
        for (_, row) in &mut rows {
            row.user.roles.retain(|role| known.contains(role));
        }
        let mut rehearsed = report.clone();
        write(stored, &rows, &mut rehearsed, (true, args.skip_bad)).await?;
        if args.dry_run || rehearsed.is_refused() {
            rehearsed.dry_run = args.dry_run;
            return finish(args, &rehearsed);
        }
        let refused: BTreeSet<u64> = rehearsed.refused.iter().map(|row| row.line).collect();
        let taken = accepted.iter().filter(|(line, _)| !refused.contains(line));
        let given = taken.flat_map(|(_, row)| row.user.roles.clone());
        stored.take_over_for(&given.collect()).await?;
    }
    write(
        stored,
        &accepted,
        &mut report,
        (args.dry_run, args.skip_bad),
    )
    .await?;
    finish(args, &report)
}

fn finish(args: &Args, report: &Report) -> anyhow::Result<ExitCode> {
    report.print(args.output.json)?;
    Ok(if report.is_refused() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Writes the rows, and lets them count unless somebody objects, or it is a dry run.
async fn write(
    stored: &Stored,
    rows: &[(u64, Imported)],
    report: &mut Report,
    (dry_run, skip_bad): (bool, bool),
) -> anyhow::Result<()> {
    let progress = Progress::of(rows.len());
    let mut import = stored.store.users.import(stored.clock.now()).await?;
    for chunk in rows.chunks(CHUNK) {
        let users: Vec<Imported> = chunk.iter().map(|(_, row)| row.clone()).collect();
        for ((line, row), fault) in chunk.iter().zip(import.add(&users).await?) {
            match fault {
                Some(fault) => report.refuse(*line, Some(&row.user.username), fault.to_string()),
                None => report.take(row),
            }
        }
        progress.advance(chunk.len());
    }
    if report.settle(dry_run, skip_bad) {
        import.commit().await?;
    }
    Ok(())
}

fn read_all(file: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if file.as_os_str() == "-" {
        std::io::stdin().read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}
