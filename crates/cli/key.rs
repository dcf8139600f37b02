//! `portcullis key`: the keys that sign tokens.

use server::admin::api::keys::{KeyView, RetireKey, RotateKey};

use crate::args::{Global, KeyCommand, RetireKeyArgs, RotateKeyArgs};
use crate::output::{Output, shown, table, time};
use crate::{Ended, on_records};

pub(crate) fn run(global: &Global, command: KeyCommand, output: Output) -> Ended {
    match command {
        KeyCommand::List => list(global, output),
        KeyCommand::Rotate(args) => rotate(global, args, output),
        KeyCommand::Retire(args) => retire(global, args, output),
        KeyCommand::Reencrypt => reencrypt(global, output),
    }
}

fn list(global: &Global, output: Output) -> Ended {
    on_records(global, output, async |records| {
        let list = records.list_keys().await?;
        output.json(&list);
        if list.keys.is_empty() {
            output.line("there is no key yet: the first one is made when it is needed");
            return Ok(0);
        }
        let head = ["KEY", "STATE", "SIGNS FROM", "UNTIL", "PUBLISHED UNTIL"].map(str::to_owned).to_vec();
        let or_dash = |at: Option<u64>| at.map_or_else(|| String::from("-"), time);
        let row = |key: &KeyView| {
            vec![
                shown(&key.kid),
                shown(&key.state),
                time(key.active_from),
                or_dash(key.retired_at),
                or_dash(key.expires_at),
            ]
        };
        output.line(table(&std::iter::once(head).chain(list.keys.iter().map(row)).collect::<Vec<_>>()));
        Ok(0)
    })
}

fn rotate(global: &Global, args: RotateKeyArgs, output: Output) -> Ended {
    let request = RotateKey { algorithm: args.algorithm, after_seconds: args.after.as_secs(), store: args.store };
    on_records(global, output, async |records| {
        let made = records.rotate_key(&request).await?;
        output.json(&made);
        output.line(format_args!(
            "the key {} is published now, and signs from {}",
            shown(&made.kid),
            time(made.active_from)
        ));
        Ok(0)
    })
}

fn retire(global: &Global, args: RetireKeyArgs, output: Output) -> Ended {
    let request = RetireKey { withdraw: args.withdraw };
    on_records(global, output, async |records| {
        let key = records.retire_key(&args.kid, &request).await?;
        output.json(&key);
        let kid = shown(&key.kid);
        match key.expires_at {
            Some(at) if key.state != "gone" => {
                output.line(format_args!("the key {kid} signs no more; it is published until {}", time(at)))
            }
            _ => output.line(format_args!("the key {kid} signs no more, and is published no more")),
        }
        Ok(0)
    })
}

fn reencrypt(global: &Global, output: Output) -> Ended {
    on_records(global, output, async |records| {
        let done = records.reencrypt_keys().await?;
        output.json(&done);
        for key in &done.refused {
            output.note(format_args!("key `{}`: {}", shown(&key.kid), shown(&key.refused)));
        }
        output.line(format_args!("{} of {} keys are sealed anew", done.sealed, done.keys));
        if !done.refused.is_empty() {
            let left = done.refused.len();
            output.note(format_args!(
                "portcullis: {left} keys stay as they are: give `[encryption]` the key that sealed them, or retire them"
            ));
        }
        Ok(u8::from(!done.refused.is_empty()))
    })
}
