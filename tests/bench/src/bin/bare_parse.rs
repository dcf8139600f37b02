//! The least that a checker of policies can do: reads every `.toml` file below a folder, parses it with its spans, and walks the
//! tree. `bare_parse DIR` prints how many files, bytes and values there were.

use std::path::Path;
use std::{env, fs};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

#[derive(Default)]
struct Seen {
    files: usize,
    bytes: usize,
    values: usize,
    /// So that no span is left unread.
    spans: usize,
}

fn main() {
    let Some(folder) = env::args().nth(1) else {
        eprintln!("usage: bare_parse DIR");
        std::process::exit(2);
    };
    let mut seen = Seen::default();
    seen.folder(Path::new(&folder));
    println!("{} files, {} bytes, {} values ({})", seen.files, seen.bytes, seen.values, seen.spans);
}

impl Seen {
    fn folder(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).expect("the folder can be read") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                self.folder(&path);
            } else if path.extension().is_some_and(|ending| ending == "toml") {
                let text = fs::read_to_string(&path).expect("the file is text");
                self.files += 1;
                self.bytes += text.len();
                let table = DeTable::parse(&text).expect("the file is TOML");
                self.table(table.get_ref());
            }
        }
    }

    fn table(&mut self, table: &DeTable<'_>) {
        for (name, value) in table.iter() {
            self.spans ^= name.span().start;
            self.value(value);
        }
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>) {
        self.values += 1;
        self.spans ^= value.span().end;
        match value.get_ref() {
            DeValue::Array(items) => items.iter().for_each(|item| self.value(item)),
            DeValue::Table(table) => self.table(table),
            _ => {}
        }
    }
}
