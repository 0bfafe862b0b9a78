//! The program: parses the arguments and sets the exit code. 0: done; 1: refused or failed; 2: wrong usage or
//! configuration.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Write},
    path::Path,
    process::ExitCode,
};

use clap::Parser;
use portcullis::{
    app,
    cli::{self, Cli, Invocation, Output, Program, man},
    config::{Config, ConfigProblem, ConfigProblems},
    core::seal::{KEY_BYTES, KeyId, generate_key_line},
    rehearse::Stopped,
};
use serde_json::json;
use zeroize::Zeroizing;

/// Exit code for wrong usage (the same as clap's) and for a wrong configuration.
const WRONG: u8 = 2;

fn main() -> ExitCode {
    // clap ends the program with 2 on wrong usage, and with 0 after --help and --version.
    let Cli {
        config: file,
        command,
    } = Cli::parse();
    let program = match command {
        Invocation::Remote(call) => return cli::remote::run(&file, call),
        Invocation::Program(program) => program,
    };
    match program {
        Program::Keygen { id } => keygen(id),
        Program::Rehearse { events } => rehearse(&file, &events),
        Program::CheckConfig(output) => check_config(&file, output),
        Program::Run => with_config(&file, |config| app::run(&file, config)),
        Program::Doctor(output) => with_config(&file, |config| app::doctor(&config, output.json)),
        Program::Completions { shell } => write(Ok(man::completions(shell))),
        Program::Import(typed) => cli::import::run(&file, typed),
        Program::Export(typed) => cli::export::run(&file, typed),
        Program::MoveStore(typed) => cli::move_store::run(&file, typed),
        Program::CheckStore(output) => cli::check_store::run(&file, output.json),
        Program::Man => write(man::man()),
    }
}

fn load(file: &Path) -> Result<Config, ConfigProblems> {
    Config::load(file, &|name| std::env::var_os(name))
}

fn with_config(file: &Path, go: impl FnOnce(Config) -> ExitCode) -> ExitCode {
    match load(file) {
        Ok(config) => go(config),
        Err(problems) => {
            eprintln!("{problems}");
            ExitCode::from(WRONG)
        }
    }
}

fn rehearse(file: &Path, events: &Path) -> ExitCode {
    let policy = match Config::load_policy(file) {
        Ok(read) => read,
        Err(problems) => {
            eprintln!("{problems}");
            return ExitCode::from(WRONG);
        }
    };
    let input: Box<dyn BufRead> = if events == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        match File::open(events) {
            Ok(file) => Box::new(BufReader::new(file)),
            Err(error) => {
                eprintln!("portcullis: cannot read {}: {error}", events.display());
                return ExitCode::from(WRONG);
            }
        }
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let done = portcullis::rehearse::run(policy, input, &mut out, |note| {
        writeln!(
            io::stderr(),
            "{}",
            portcullis::command::rehearsal_note(note)
        )
    });
    let code = match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stopped::Line(number, why)) => {
            eprintln!("{}:{number}: {why}", events.display());
            ExitCode::from(WRONG)
        }
        Err(Stopped::Io(error)) => {
            eprintln!("portcullis: {error}");
            return ExitCode::FAILURE;
        }
    };
    match out.flush() {
        Ok(()) => code,
        Err(error) => {
            eprintln!("portcullis: cannot write the answer: {error}");
            ExitCode::FAILURE
        }
    }
}

fn check_config(file: &Path, output: Output) -> ExitCode {
    let answer = load(file);
    let code = if answer.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(WRONG)
    };
    let shown = file.display();
    let said = match (answer, output.json) {
        (Ok(config), true) => {
            json!({ "file": shown.to_string(), "good": true, "warnings": list(&config.warnings) })
        }
        (Err(problems), true) => {
            json!({ "file": shown.to_string(), "good": false, "problems": list(&problems.list) })
        }
        (Ok(config), false) => {
            for warning in &config.warnings {
                eprintln!("{shown}:{warning} (warning)");
            }
            let mut said = format!("{shown} is good");
            if config.http.is_some() && config.http_token.is_none() {
                said.push_str(
                    "\n[http] has no token: /v1/check and /v1/report are not answered, the health checks are",
                );
            }
            return print(&said, code);
        }
        (Err(problems), false) => {
            eprintln!("{problems}");
            return code;
        }
    };
    print(&said.to_string(), code)
}

fn list(problems: &[ConfigProblem]) -> serde_json::Value {
    let one = |problem: &ConfigProblem| {
        let (line, column) = problem.place.unzip();
        json!({ "line": line, "column": column, "message": problem.message })
    };
    problems.iter().map(one).collect()
}

fn keygen(id: Option<KeyId>) -> ExitCode {
    let mut random = Zeroizing::new([0; KEY_BYTES]);
    let mut name = [0; 4];
    if let Err(error) =
        getrandom::fill(random.as_mut_slice()).and_then(|()| getrandom::fill(&mut name))
    {
        eprintln!("portcullis: cannot get random numbers from the system: {error}");
        return ExitCode::FAILURE;
    }
    let drawn = || format!("k{:08x}", u32::from_be_bytes(name)).parse().ok();
    match id.or_else(drawn) {
        Some(id) => print(&generate_key_line(&id, &random), ExitCode::SUCCESS),
        None => ExitCode::FAILURE,
    }
}

/// Writes a page to standard output.
fn write(page: io::Result<Vec<u8>>) -> ExitCode {
    let written = page.and_then(|page| {
        let mut out = io::stdout().lock();
        out.write_all(&page).and_then(|()| out.flush())
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        // The reader closed the pipe (`| head`); that is not a failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("portcullis: cannot write the answer: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints one line. A full disk or a closed pipe is a failure, because the line may be a new key that must not be
/// lost.
fn print(line: &str, code: ExitCode) -> ExitCode {
    let mut out = io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Ok(()) => code,
        Err(error) => {
            eprintln!("portcullis: cannot write the answer: {error}");
            ExitCode::FAILURE
        }
    }
}
