//! `portcullis check`: every fault of the file at once.

use std::net::ToSocketAddrs;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use crate::config::Config;
use crate::config::policy_test::run as run_tests;
use crate::config::report::{Fault, Report};
use crate::crypto::password;
use crate::proxy::settings::{Destination, Place, Server};

use super::output::complain;
use super::text::{Ink, count};

/// Says whether the file can be used, and everything that is wrong with it
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Look at files only; do not ask the network whether upstreams have an address
    #[arg(long)]
    offline: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// Never; what is wrong with the file is its answer.
pub fn run(args: &Args, config_path: &Path) -> anyhow::Result<ExitCode> {
    let outcome = Config::load(config_path).and_then(|mut config| {
        if !args.offline {
            config.warnings.extend(unresolved(&config));
        }
        tested(config, config_path)
    });
    if args.json {
        outln!("{}", as_json(&outcome, config_path));
    } else {
        print(&outcome, config_path);
    }
    Ok(if outcome.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The file, for commands that need one; what is wrong with it goes to standard error.
#[must_use]
pub fn load(config_path: &Path) -> Option<Config> {
    match Config::load(config_path) {
        Ok(config) => Some(config),
        Err(report) => {
            let report = Report {
                warnings: Vec::new(),
                ..report
            };
            complain(format_args!("{report}"));
            errln!(
                "{} cannot be used: {}",
                config_path.display(),
                count(report.faults.len(), "fault")
            );
            None
        }
    }
}

/// The file, if its tests pass: the gateway starts with no other.
fn tested(config: Config, path: &Path) -> Result<Config, Report> {
    let failed = |fault: &Fault| !fault.message.is_empty();
    let faults: Vec<Fault> = run_tests(&config)
        .iter()
        .enumerate()
        .map(|(at, outcome)| Fault {
            path: format!("tests[{at}]"),
            seen: Some(outcome.test.to_string()),
            ..Fault::of_file(outcome.failures.join("; ")).at_line(outcome.test.line)
        })
        .filter(failed)
        .collect();
    if faults.is_empty() {
        Ok(config)
    } else {
        Err(Report::new(faults, config.warnings).of_file(path))
    }
}

fn print(outcome: &Result<Config, Report>, path: &Path) {
    let ink = Ink::of_stdout();
    let (faults, warnings) = match outcome {
        Ok(config) => (&[][..], &config.warnings),
        Err(report) => (&report.faults[..], &report.warnings),
    };
    for fault in faults {
        outln!("{}", fault.in_file(path));
    }
    for warning in warnings {
        outln!("{} {}", ink.yellow("warning:"), warning.in_file(path));
    }
    let notes = outcome.as_ref().map(notes).unwrap_or_default();
    for note in &notes {
        outln!("{} {note}", ink.dim("note:"));
    }
    if !faults.is_empty() || !warnings.is_empty() || !notes.is_empty() {
        outln!();
    }
    outln!("{}", verdict(outcome, path, ink));
}

fn verdict(outcome: &Result<Config, Report>, path: &Path, ink: Ink) -> String {
    match outcome {
        Ok(config) => {
            let holds = [
                count(config.rules.len(), "rule"),
                count(config.roles.len(), "role"),
                count(config.upstreams.len(), "upstream"),
                count(config.tests.len(), "test"),
            ];
            let warned = match config.warnings.len() {
                0 => String::new(),
                some => format!(", with {}", count(some, "warning")),
            };
            format!(
                "{} is {}{warned}: {}",
                path.display(),
                ink.green("fine"),
                holds.join(", ")
            )
        }
        Err(report) => {
            format!(
                "{} {}: {}",
                path.display(),
                ink.red("cannot be used"),
                count(report.faults.len(), "fault")
            )
        }
    }
}

fn as_json(outcome: &Result<Config, Report>, path: &Path) -> serde_json::Value {
    match outcome {
        Ok(config) => json!({
            "file": path,
            "fine": true,
            "faults": [],
            "warnings": config.warnings,
            "notes": notes(config),
            "rules": config.rules.len(),
            "roles": config.roles.len(),
            "upstreams": config.upstreams.len(),
            "tests": config.tests.len(),
        }),
        Err(report) => {
            json!({ "file": path, "fine": false, "faults": report.faults, "warnings": report.warnings })
        }
    }
}

/// What is as it should be for many, and yet worth knowing. Not counted among the warnings.
fn notes(config: &Config) -> Vec<String> {
    let least = config.identity.password.min_length;
    let short = least < password::Settings::ALONE_MIN_LENGTH;
    let note = format!(
        "passwords of {least} characters are accepted (login.password.min_length); NIST SP 800-63B-4 asks for {} \
         where the password is the only factor",
        password::Settings::ALONE_MIN_LENGTH
    );
    short.then_some(note).into_iter().collect()
}

/// Upstreams whose servers have no address, asked all at once: a name server may take its time.
fn unresolved(config: &Config) -> Vec<Fault> {
    let servers = config
        .upstreams
        .values()
        .flat_map(|upstream| match &upstream.to {
            Destination::Servers(servers) => servers
                .iter()
                .map(|server| (&upstream.name, server))
                .collect(),
            Destination::Echo => Vec::new(),
        });
    std::thread::scope(|scope| {
        let asked: Vec<_> = servers
            .map(|(name, server)| (name, server, scope.spawn(|| resolves(server))))
            .collect();
        let silent = asked
            .into_iter()
            .filter_map(|(name, server, found)| match found.join() {
                Ok(true) => None,
                Ok(false) | Err(_) => {
                    let host = server.host().unwrap_or_default();
                    let fault = Fault::of_file(format!("no address is known for the host {host}"));
                    Some(
                        Fault {
                            path: format!("upstreams.{name}.to"),
                            ..fault
                        }
                        .hint("requests to it will be answered 502"),
                    )
                }
            });
        silent.collect()
    })
}

fn resolves(server: &Server) -> bool {
    match (&server.place, server.host()) {
        (Place::Network { port, .. }, Some(host)) => (host, *port)
            .to_socket_addrs()
            .is_ok_and(|mut found| found.next().is_some()),
        // A socket comes into being with its service.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(text: &str) -> Result<Config, Report> {
        Config::from_text(text, Path::new("/nonexistent"), &|_| None)
    }

    #[test]
    fn the_last_line_says_whether_it_can_be_used() {
        let path = Path::new("gateway.yaml");
        let said = |text: &str| verdict(&outcome(text), path, Ink::of_stdout());
        assert_eq!(
            said("rules: []\n"),
            "gateway.yaml is fine, with 1 warning: 0 rules, 0 roles, 0 upstreams, 0 tests"
        );
        assert_eq!(said("rule: []\n"), "gateway.yaml cannot be used: 2 faults");
        let json = as_json(&outcome("rule: []\n"), path);
        assert_eq!(
            (&json["fine"], &json["faults"][0]["hint"]),
            (&json!(false), &json!("did you mean 'rules'?"))
        );
        assert_eq!(as_json(&outcome("rules: []\n"), path)["fine"], json!(true));
    }

    #[test]
    fn a_file_whose_tests_fail_cannot_be_used() {
        let path = Path::new("gateway.yaml");
        let said = |expect: &str| {
            let text = format!(
                "upstreams: {{ web: {{ to: http://web }} }}\nrules: [{{ path: /**, to: web, allow: signed_in }}]\n\
                 tests:\n  - {{ GET: /, expect: login }}\n  - {{ GET: /x, as: {{ user: bob }}, expect: {expect} }}\n"
            );
            let outcome = outcome(&text).and_then(|config| tested(config, path));
            let faults = outcome.as_ref().err().map(ToString::to_string);
            let verdict = verdict(&outcome, path, Ink::of_stdout());
            faults.unwrap_or_default() + &verdict
        };
        insta::assert_snapshot!(said("allow"), @"gateway.yaml is fine: 1 rule, 0 roles, 1 upstream, 2 tests");
        insta::assert_snapshot!(said("login"), @"
        gateway.yaml:5: tests[1]: expected login, got allow: 'GET /x as bob'
        gateway.yaml cannot be used: 1 fault
        ");
    }

    #[test]
    fn short_passwords_are_noted_and_not_warned_of() {
        let noted = |login: &str| {
            let text = format!("upstreams: {{}}\nrules: []\n{login}");
            let config = outcome(&text).unwrap();
            assert_eq!(config.warnings.len(), 1, "about the rules alone");
            notes(&config)
        };
        insta::assert_snapshot!(noted("").join("\n"), @"passwords of 8 characters are accepted (login.password.min_length); NIST SP 800-63B-4 asks for 15 where the password is the only factor");
        assert!(noted("login: { password: { min_length: 15 } }").is_empty());
    }

    #[test]
    fn hosts_that_no_name_server_knows_are_warned_of() {
        let found = |to: &str| {
            let text = format!(
                "upstreams: {{ web: {{ to: {to} }} }}\nrules: [{{ path: /**, to: web, allow: anyone }}]\n"
            );
            unresolved(&outcome(&text).unwrap()).len()
        };
        // RFC 6761 section 6.4: names under .invalid never resolve.
        assert_eq!(
            found("[http://127.0.0.1:1, 'http://[::1]:1', http://nowhere.invalid]"),
            1
        );
        assert_eq!(found("builtin:echo"), 0);
    }
}
