//! `portcullis lsp`: a language server for the files of a configuration, over standard input and output.
//!
//! What is right it has from the loader and checker of `check`, with the editor's texts laid over the files. One thread reads
//! what the client says, one checks folders, this one answers. An answer never waits for a check, but for the first one of a
//! folder: what stands around the cursor comes from a tolerant reading of the text as it is now, what there is to be named
//! from the last check.

mod actions;
mod client;
mod completion;
mod definition;
mod diagnostics;
mod documents;
mod folders;
mod format;
mod ground;
mod hover;
mod names;
mod positions;
mod rename;
mod schema;
mod server;
mod shapes;
mod spot;
mod symbols;
mod uri;
mod wire;
mod words;
mod worker;
mod workspace;

use std::io::{self, IsTerminal};
use std::sync::mpsc::{SyncSender, sync_channel};

use crate::Ended;
use crate::args::Global;
use crate::output::{Failure, print_aside};

use self::server::Server;
use self::wire::Read_;
use self::worker::Worker;
use self::workspace::Workspace;

/// So many messages are read ahead of the answers.
const AHEAD: usize = 8;

/// What wakes the conversation.
enum Event {
    Read(Read_),
    /// A check is done.
    Checked,
    /// The client's stream has ended.
    End,
}

/// Speaks until the client says `exit`: code 0 after `shutdown`, else 1.
pub(crate) fn run(global: &Global) -> Ended {
    global.refuse_admin()?;
    let options = global.options();
    // Else the folder of each file that is opened.
    let only = global.dir_named.then(|| absolute(&global.dir)).transpose()?;
    let (events, received) = sync_channel(AHEAD);
    let wake = events.clone();
    // Where the conversation is over, nobody is to be woken.
    let worker = Worker::start(move || drop(wake.send(Event::Checked))).map_err(no_thread)?;
    thread("reading", move || read_all(&events)).map_err(no_thread)?;
    if io::stdin().is_terminal() {
        log(format_args!("an editor is to speak here; Ctrl-C ends it"));
    }
    let mut server = Server::new(io::stdout(), Workspace::new(options, only, worker));
    for event in received {
        let code = match event {
            Event::Read(read) => server.take(read),
            Event::Checked => Ok(None),
            Event::End => return Ok(server.end()),
        };
        // A client that reads no more has gone.
        match code.and_then(|code| server.checked().map(|()| code)) {
            Ok(None) => {}
            Ok(Some(code)) => return Ok(code),
            Err(_) => return Ok(server.end()),
        }
    }
    Ok(server.end())
}

fn read_all(events: &SyncSender<Event>) {
    let mut from = io::BufReader::new(io::stdin());
    loop {
        let event = match wire::read(&mut from) {
            Ok(Some(read)) => Event::Read(read),
            Ok(None) => Event::End,
            Err(why) => {
                log(format_args!("the client cannot be heard: {why}"));
                Event::End
            }
        };
        let last = matches!(event, Event::End);
        if events.send(event).is_err() || last {
            return;
        }
    }
}

fn absolute(dir: &std::path::Path) -> Result<std::path::PathBuf, Failure> {
    std::fs::canonicalize(dir).map_err(|why| {
        Failure::usage(format!("the configuration folder `{}` cannot be read: {why}", dir.display()))
            .with_help("`-c DIR` names one; without it, each file's own folder is found")
    })
}

fn no_thread(why: io::Error) -> Failure {
    Failure::wrong(format!("no thread can be started: {why}"))
}

/// A line for whoever looks at the server's standard error.
fn log(text: std::fmt::Arguments<'_>) {
    print_aside(format_args!("portcullis lsp: {text}\n"));
}

/// A thread of the server. All end with the process.
#[allow(clippy::disallowed_methods, reason = "the conversation's two threads, which end with the process")]
fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}
