//! Files that policies give out: below one folder, as they are on the disk at that moment.
//!
//! The folder is opened anew for every request, so that another one in its place (a deployment that swaps a link) is taken up. Names are
//! resolved below it by `cap-std`, which lets no link and no `..` lead out, also where somebody changes links meanwhile. Whatever waits
//! for the disk does so beside the threads that serve, and only so much of it at once.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, File, Metadata, MetadataExt};
use http_body::{Body as HttpBody, Frame, SizeHint};
use policy::Body;
use policy::diagnostic::{Problem, codes};
use policy::exchange::BoxError;
use policy::ports::{BoxFuture, Folder, Found, FoundFile};
use tokio::sync::Semaphore;

use crate::tasks;

/// What is read at once.
const PIECE: u64 = 128 * 1024;

/// A file up to this size is read when it is opened: one way to the disk instead of two.
const AT_ONCE: u64 = 32 * 1024;

/// How many wait for the disk at once; others wait for them. The threads for blocking work are the process's.
static DISK: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(32)));

/// Folders of the configuration that hold what nobody outside is to see.
const OWN: &[&str] = &["policies", "stores", "var"];

/// A folder on the disk.
pub(crate) struct OnDisk {
    path: Arc<Path>,
}

impl OnDisk {
    /// The folder of this name, relative to the configuration folder; or what is wrong with it.
    pub(crate) fn new(dir: &Path, name: &str) -> Result<OnDisk, Problem> {
        let path = dir.join(name);
        let real = path.canonicalize().ok().filter(|real| real.is_dir());
        let Some(real) = real else {
            let problem = Problem::error(codes::MISSING_OUTSIDE, format!("there is no folder `{name}`"));
            return Err(problem.with_help("the path is relative to the configuration folder"));
        };
        let configuration = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
        let within_own = OWN.iter().any(|own| real.starts_with(configuration.join(own)));
        if configuration.starts_with(&real) || within_own {
            let problem = Problem::error(codes::BAD_VALUE, format!("`{name}` holds the configuration itself"));
            return Err(problem.with_help("name a folder that has nothing in it but what everybody may read"));
        }
        Ok(OnDisk { path: path.into() })
    }
}

impl Folder for OnDisk {
    fn find<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Found>> {
        let (path, name) = (self.path.clone(), PathBuf::from(name));
        Box::pin(on_disk(move || find(&path, &name)))
    }
}

/// Does the work where it may wait for the disk.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    // It is never closed.
    let permit = DISK.clone().acquire_owned().await.ok();
    tasks::blocking(move || {
        let _permit = permit; // Until the work is done, even where nobody waits for it any more.
        work()
    })
    .await
}

fn find(folder: &Path, name: &Path) -> io::Result<Found> {
    let folder = match Dir::open_ambient_dir(folder, ambient_authority()) {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    };
    // Before it is opened: to open a pipe would be to wait for whoever writes to it.
    let mut file = match folder.metadata(name) {
        Ok(about) if about.is_dir() => return Ok(Found::Folder),
        Ok(about) if about.is_file() => folder.open(name)?,
        Ok(_) => return Ok(Found::Nothing),
        Err(error) if is_nothing(&error) => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    };
    let about = file.metadata()?;
    let mut content = None;
    if about.len() <= AT_ONCE {
        let mut bytes = Vec::new();
        (&mut file).take(AT_ONCE + 1).read_to_end(&mut bytes)?;
        // One that grew meanwhile is read like a large one, up to the length that it had.
        content = (bytes.len() as u64 == about.len()).then(|| Bytes::from(bytes));
    }
    Ok(Found::File(Box::new(Opened { file, about, content })))
}

/// There is nothing of that name, the name is none that could be, or it leads out of the folder.
fn is_nothing(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, NotFound};
    let nothing = [NotFound, NotADirectory, InvalidInput, InvalidFilename].contains(&error.kind());
    // `cap-std` says so of a way out with an error of its own, which has no number of the system's.
    nothing || error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none()
}

struct Opened {
    file: File,
    about: Metadata,
    content: Option<Bytes>,
}

impl FoundFile for Opened {
    fn length(&self) -> u64 {
        self.about.len()
    }

    fn modified(&self) -> u64 {
        let seconds = u64::try_from(self.about.mtime()).unwrap_or(0);
        let nanos = u64::try_from(self.about.mtime_nsec()).unwrap_or(0);
        seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
    }

    fn read(self: Box<Self>, from: u64, length: u64) -> Body {
        let end = from.saturating_add(length);
        match self.content {
            Some(content) => {
                // It is in memory: these are its sizes.
                let at = |place: u64| usize::try_from(place).unwrap_or(usize::MAX).min(content.len());
                content.slice(at(from)..at(end)).into()
            }
            None if length == 0 => Body::Empty,
            None => {
                let next = Mutex::new(Box::pin(piece(self.file, from, length)) as Piece);
                Body::stream(Pieces { next, at: from, left: length })
            }
        }
    }
}

/// The next piece of a file, and the file for what follows.
type Piece = Pin<Box<dyn Future<Output = (File, io::Result<Bytes>)> + Send>>;

fn piece(mut file: File, from: u64, length: u64) -> impl Future<Output = (File, io::Result<Bytes>)> + Send {
    on_disk(move || {
        let read = file.seek(SeekFrom::Start(from)).and_then(|_| {
            let mut bytes = Vec::new();
            (&mut file).take(length.min(PIECE)).read_to_end(&mut bytes)?;
            Ok(bytes.into())
        });
        (file, read)
    })
}

/// A file as it is asked for, piece by piece.
struct Pieces {
    /// Without a lock in its way: only who has the body alone asks for its frames.
    next: Mutex<Piece>,
    at: u64,
    left: u64,
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if this.left == 0 {
            return Poll::Ready(None);
        }
        let next = this.next.get_mut().unwrap_or_else(PoisonError::into_inner);
        let (file, read) = ready!(next.as_mut().poll(cx));
        let bytes = match read {
            Ok(bytes) if bytes.is_empty() => {
                this.left = 0;
                return Poll::Ready(Some(Err("the file became shorter while it was sent".into())));
            }
            Ok(bytes) => bytes,
            Err(error) => {
                this.left = 0;
                return Poll::Ready(Some(Err(error.into())));
            }
        };
        this.at = this.at.saturating_add(bytes.len() as u64);
        this.left = this.left.saturating_sub(bytes.len() as u64);
        if this.left > 0 {
            *next = Box::pin(piece(file, this.at, this.left));
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("site/sub")).unwrap();
        fs::write(dir.path().join("node.toml"), "secret").unwrap();
        fs::write(dir.path().join("site/a.txt"), "of the site").unwrap();
        fs::write(dir.path().join("site/sub/b.txt"), "below it").unwrap();
        dir
    }

    async fn content(found: Found) -> String {
        match found {
            Found::File(file) => {
                let length = file.length();
                let bytes = file.read(0, length).collect(10_000_000).await.unwrap();
                String::from_utf8(bytes.to_vec()).unwrap()
            }
            Found::Folder => "a folder".into(),
            Found::Nothing => "nothing".into(),
        }
    }

    #[tokio::test]
    async fn nothing_outside_is_found() {
        let dir = folder();
        let site = dir.path().join("site");
        symlink("../node.toml", site.join("out.txt")).unwrap();
        symlink(dir.path().join("node.toml"), site.join("absolute.txt")).unwrap();
        symlink("..", site.join("up")).unwrap();
        symlink("sub/b.txt", site.join("within.txt")).unwrap();
        let socket = std::os::unix::net::UnixListener::bind(site.join("socket")).unwrap();
        let long = "x".repeat(300);
        let served = OnDisk::new(dir.path(), "site").unwrap();
        for (name, expected) in [
            ("a.txt", "of the site"),
            ("sub/b.txt", "below it"),
            ("within.txt", "below it"),
            ("sub", "a folder"),
            (".", "a folder"),
            ("c.txt", "nothing"),
            ("a.txt/b", "nothing"),
            ("out.txt", "nothing"),
            ("absolute.txt", "nothing"),
            ("up/node.toml", "nothing"),
            ("../node.toml", "nothing"),
            ("sub/../../node.toml", "nothing"),
            ("/etc/passwd", "nothing"),
            ("socket", "nothing"),
            (long.as_str(), "nothing"),
            ("", "nothing"),
        ] {
            assert_eq!(content(served.find(name).await.unwrap()).await, expected, "{name}");
        }
        drop(socket);
    }

    #[tokio::test]
    async fn large_files_come_in_pieces_and_parts_are_parts() {
        let dir = folder();
        let text: String = (0..100_000).map(|n| format!("{n:07}\n")).collect();
        fs::write(dir.path().join("site/large.txt"), &text).unwrap();
        let served = OnDisk::new(dir.path(), "site").unwrap();
        assert_eq!(content(served.find("large.txt").await.unwrap()).await, text);
        for (name, whole) in [("large.txt", text.as_str()), ("a.txt", "of the site")] {
            let Found::File(file) = served.find(name).await.unwrap() else { panic!("{name}") };
            let body = file.read(3, 8);
            assert_eq!(body.size_hint().exact(), Some(8), "{name}");
            assert_eq!(body.collect(100).await.unwrap(), whole[3..11], "{name}");
        }
    }

    #[tokio::test]
    async fn a_file_that_becomes_shorter_breaks_off() {
        let dir = folder();
        let path = dir.path().join("site/large.txt");
        fs::write(&path, vec![b'x'; 1_000_000]).unwrap();
        let served = OnDisk::new(dir.path(), "site").unwrap();
        let Found::File(file) = served.find("large.txt").await.unwrap() else { panic!("no file") };
        fs::write(&path, "short").unwrap();
        assert!(file.read(0, 1_000_000).collect(2_000_000).await.is_err());
    }

    #[tokio::test]
    async fn another_folder_in_its_place_is_taken_up() {
        let dir = folder();
        fs::create_dir(dir.path().join("second")).unwrap();
        fs::write(dir.path().join("second/a.txt"), "of the second").unwrap();
        symlink("site", dir.path().join("current")).unwrap();
        let served = OnDisk::new(dir.path(), "current").unwrap();
        assert_eq!(content(served.find("a.txt").await.unwrap()).await, "of the site");
        symlink("second", dir.path().join("next")).unwrap();
        fs::rename(dir.path().join("next"), dir.path().join("current")).unwrap();
        assert_eq!(content(served.find("a.txt").await.unwrap()).await, "of the second");
        fs::remove_file(dir.path().join("current")).unwrap();
        assert_eq!(content(served.find("a.txt").await.unwrap()).await, "nothing");
    }

    #[test]
    fn the_configuration_is_not_given_out() {
        let dir = folder();
        fs::create_dir_all(dir.path().join("policies/pages")).unwrap();
        symlink("..", dir.path().join("site/round")).unwrap();
        for name in [".", "", "..", "/", "policies", "policies/pages", "site/..", "site/round", "gone", "node.toml"] {
            assert!(OnDisk::new(dir.path(), name).is_err(), "{name}");
        }
        assert!(OnDisk::new(dir.path(), "site").is_ok());
        assert!(OnDisk::new(dir.path(), dir.path().join("site/sub").to_str().unwrap()).is_ok());
    }
}
