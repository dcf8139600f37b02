//! Sealing: what is kept in a form that only holders of a key can read, because it must be recoverable (tokens of other servers,
//! keys, encrypted columns). What need not be recoverable is hashed instead.
//!
//! AES-256-GCM under keys that have names. The first key seals, all of them open, so that a key is changed in three steps: add the
//! new one as the second on all nodes; make it the first; and once everything was sealed anew ([`Sealer::reseal`]), take the old
//! one away. A sealed value is bound to its place (store, key, column): moved to another row, it does not open.
//!
//! The text is `sealed:1:KEY:DATA`: the name of the key, and base64url of nonce, ciphertext and tag. A nonce is 96 random bits: good
//! for four thousand million values under one key.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::hex;
use crate::hex::unhex;
use crate::source::StoreError;

/// What every sealed text begins with: the form, and its version.
const HEAD: &str = "sealed:1:";
/// Bytes of a nonce.
const NONCE: usize = 12;
/// The file of a single node's own key, below its configuration folder.
pub const OWN_KEY: &str = "var/secret.key";
/// What its identifier begins with.
const OWN_ID: &str = "own-";

/// A key with its name.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    id: Arc<str>,
    bytes: Zeroizing<[u8; 32]>,
}

impl Key {
    /// A key from the text of its file: 64 hexadecimal digits, white space around them aside. `None` where it is something else.
    pub fn parse(id: &str, text: &str) -> Option<Key> {
        unhex(text.trim()).map(|bytes| Key { id: id.into(), bytes: Zeroizing::new(bytes) })
    }

    /// A key that whoever holds this secret can make again. The secret must have the strength of a key: 256 random bits.
    pub fn of_secret(id: &str, purpose: &str, secret: &str) -> Key {
        let digest = Sha256::new().chain_update(purpose).chain_update(b"\0").chain_update(secret).finalize();
        Key { id: id.into(), bytes: Zeroizing::new(digest.into()) }
    }

    /// A key that nobody else has.
    pub fn random(id: &str) -> Result<Key, StoreError> {
        Ok(Key { id: id.into(), bytes: random()? })
    }

    /// Whether this may be the name of a key: 1 to 64 of `A-Z a-z 0-9 . _ -`.
    pub fn is_id(id: &str) -> bool {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        (1..=64).contains(&id.len()) && id.chars().all(allowed)
    }

    /// What tells it from others and reveals nothing of it: 64 bits of a hash of 256 random ones.
    pub fn fingerprint(&self) -> String {
        let digest = Sha256::new().chain_update(b"portcullis sealing key\0").chain_update(*self.bytes).finalize();
        hex(&digest[..8])
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(&(*self.bytes).into())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id)
    }
}

/// 32 random bytes.
fn random() -> Result<Zeroizing<[u8; 32]>, StoreError> {
    let mut bytes = Zeroizing::new([0; 32]);
    fill(&mut *bytes)?;
    Ok(bytes)
}

fn fill(bytes: &mut [u8]) -> Result<(), StoreError> {
    getrandom::fill(bytes).map_err(|why| StoreError::Unavailable(format!("the system gives no random bytes: {why}")))
}

/// Which keys a node has: `[encryption]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// `[encryption] keys`: the first seals, all open.
    Keys(Vec<Key>),
    /// None is given: a single node has one of its own, [`OWN_KEY`].
    Own,
    /// None is given, and several nodes would each have their own: nothing can be sealed.
    Missing,
}

/// Where a sealed value stands. It opens nowhere else.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The store, by its name: `kps.partners`.
    pub store: &'a str,
    /// The key of the row.
    pub key: &'a [u8],
    /// The column, or the field of the record.
    pub column: &'a str,
}

/// Seals and opens.
pub struct Sealer {
    encryption: Encryption,
    own: PathBuf,
    /// A single node's own key, once it was needed.
    own_key: OnceLock<Key>,
}

impl Sealer {
    /// With these keys; `base` is the configuration folder. Nothing is read before it is needed.
    pub fn new(encryption: &Encryption, base: &Path) -> Self {
        Sealer { encryption: encryption.clone(), own: base.join(OWN_KEY), own_key: OnceLock::new() }
    }

    /// The keys that it was made with.
    pub fn encryption(&self) -> &Encryption {
        &self.encryption
    }

    /// Seals a value for its place.
    pub fn seal(&self, plain: &[u8], place: &Place<'_>) -> Result<String, StoreError> {
        let key = self.first(true)?;
        let mut nonce = [0; NONCE];
        fill(&mut nonce)?;
        let payload = Payload { msg: plain, aad: &associated(&key.id, place) };
        let sealed = key.cipher().encrypt(&Nonce::from(nonce), payload);
        let sealed = sealed.map_err(|_| broken(place, "it is too large to be sealed"))?;
        Ok(format!("{HEAD}{}:{}", key.id, URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat())))
    }

    /// Opens a value that was sealed for this place.
    pub fn open(&self, sealed: &str, place: &Place<'_>) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let (id, data) = parts(sealed).ok_or_else(|| broken(place, "it is no sealed value"))?;
        let key = self.named(id, place)?;
        let data = URL_SAFE_NO_PAD.decode(data).ok().filter(|data| data.len() > NONCE);
        let data = data.ok_or_else(|| broken(place, "it is damaged"))?;
        let (nonce, data) = data.split_at(NONCE);
        let nonce: [u8; NONCE] = nonce.try_into().map_err(|_| broken(place, "it is damaged"))?;
        let payload = Payload { msg: data, aad: &associated(id, place) };
        let opened = key.cipher().decrypt(&Nonce::from(nonce), payload);
        opened.map(Zeroizing::new).map_err(|_| {
            let why = format!(
                "it does not open with the key `{id}`: this node's file holds another key of that name, or the value was \
                 damaged or moved here from another row; give this node the file that the others have"
            );
            broken(place, &why)
        })
    }

    /// Whether this text is a sealed value.
    pub fn is_sealed(text: &str) -> bool {
        parts(text).is_some()
    }

    /// The value sealed anew with the first key; `None` where it is already. Either way it opens: that a value names a key does not
    /// say that it is that one's.
    pub fn reseal(&self, sealed: &str, place: &Place<'_>) -> Result<Option<String>, StoreError> {
        let (id, _) = parts(sealed).ok_or_else(|| broken(place, "it is no sealed value"))?;
        let opened = self.open(sealed, place)?;
        if *self.first(false)?.id == *id {
            return Ok(None);
        }
        self.seal(&opened, place).map(Some)
    }

    /// The fingerprint of the key that seals; `None` where there is none yet. A single node makes its own where `make` says so.
    pub fn fingerprint(&self, make: bool) -> Result<Option<String>, StoreError> {
        match (&self.encryption, make) {
            (Encryption::Missing, _) => Ok(None),
            (Encryption::Own, false) if !self.own.exists() => Ok(None),
            _ => self.first(make).map(|key| Some(key.fingerprint())),
        }
    }

    /// The key that seals.
    fn first(&self, make: bool) -> Result<&Key, StoreError> {
        match &self.encryption {
            Encryption::Keys(keys) => keys.first().ok_or_else(missing),
            Encryption::Own => self.own(make),
            Encryption::Missing => Err(missing()),
        }
    }

    fn named(&self, id: &str, place: &Place<'_>) -> Result<&Key, StoreError> {
        let unknown = |known: String| {
            let why =
                format!("it was sealed with the key `{id}`, which this node does not have (it has {known}); add it to");
            broken(place, &format!("{why} `[encryption] keys` in node.toml"))
        };
        match &self.encryption {
            Encryption::Keys(keys) => {
                let given = keys.iter().find(|key| *key.id == *id);
                // What it sealed before it was given keys, as a single node: until that is sealed anew.
                let before = || self.own(false).ok().filter(|own| *own.id == *id);
                given.or_else(|| id.starts_with(OWN_ID).then(before)?).ok_or_else(|| {
                    unknown(keys.iter().map(|key| format!("`{}`", key.id)).collect::<Vec<_>>().join(", "))
                })
            }
            Encryption::Own => {
                let own = self.own(false)?;
                if *own.id == *id { Ok(own) } else { Err(unknown(format!("its own, `{}`", own.id))) }
            }
            Encryption::Missing => Err(missing()),
        }
    }

    /// A single node's own key: read, or made where there is none. Never made to open something with: it could not.
    fn own(&self, make: bool) -> Result<&Key, StoreError> {
        if let Some(key) = self.own_key.get() {
            return Ok(key);
        }
        let cannot = |why: &str| StoreError::Broken(format!("the node's own key `{}` {why}", self.own.display()));
        let text = match fs::read_to_string(&self.own) {
            Ok(text) => Zeroizing::new(text),
            Err(why) if why.kind() == io::ErrorKind::NotFound && make => {
                make_own(&self.own).map_err(|why| cannot(&format!("cannot be made: {why}")))?
            }
            Err(why) => return Err(cannot(&format!("cannot be read: {why}; put it back from a backup"))),
        };
        let mode = fs::metadata(&self.own).map_or(0, |metadata| metadata.permissions().mode());
        if open_to_others(mode) {
            return Err(cannot("can be read by every user of this machine: `chmod 600` it"));
        }
        let digits = Key::parse("", &text).ok_or_else(|| cannot("holds no key: 64 hexadecimal digits"))?;
        // Another file is another name, so that a lost key is told as that and not as a damaged value.
        let id = format!("{OWN_ID}{}", &digits.fingerprint()[..8]);
        Ok(self.own_key.get_or_init(|| Key { id: id.into(), ..digits }))
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer({:?})", self.encryption)
    }
}

/// Whether a file with this mode can be read or written by every user: a key must not. A group may, since secrets are mounted so.
fn open_to_others(mode: u32) -> bool {
    mode & 0o007 != 0
}

/// Makes the file; of two that do so at once, both end up with the same key.
fn make_own(file: &Path) -> io::Result<Zeroizing<String>> {
    let bytes = random().map_err(|why| io::Error::other(why.to_string()))?;
    let text: Zeroizing<String> = Zeroizing::new(hex(bytes));
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    // Written elsewhere and then given its name: nobody ever reads half of it, and only one is ever given the name.
    let mut unique = [0; 8];
    fill(&mut unique).map_err(|why| io::Error::other(why.to_string()))?;
    let draft = file.with_extension(format!("key.{:016x}", u64::from_ne_bytes(unique)));
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()
    });
    let named = written.and_then(|()| fs::hard_link(&draft, file));
    let _ = fs::remove_file(&draft);
    match named {
        Ok(()) => Ok(text),
        Err(why) if why.kind() == io::ErrorKind::AlreadyExists => fs::read_to_string(file).map(Zeroizing::new),
        Err(why) => Err(why),
    }
}

/// The name of the key, and the data.
fn parts(sealed: &str) -> Option<(&str, &str)> {
    sealed.strip_prefix(HEAD)?.split_once(':').filter(|(id, _)| Key::is_id(id))
}

/// What a sealed value is bound to. Each part has its length before it, so that no two places read alike.
fn associated(id: &str, place: &Place<'_>) -> Vec<u8> {
    let mut bytes = HEAD.as_bytes().to_vec();
    for part in [id.as_bytes(), place.store.as_bytes(), place.key, place.column.as_bytes()] {
        bytes.extend((part.len() as u64).to_be_bytes());
        bytes.extend(part);
    }
    bytes
}

/// The value and its key are not told: they may be secret.
fn broken(place: &Place<'_>, why: &str) -> StoreError {
    StoreError::Broken(format!("a sealed value in store `{}`, column `{}`: {why}", place.store, place.column))
}

fn missing() -> StoreError {
    StoreError::Broken(
        "there is no key to seal with: several nodes need a shared one, `[encryption] keys = [{ id, file }]` in node.toml".into(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Place<'_> = Place { store: "kps.partners", key: b"acme", column: "password" };

    fn key(id: &str, digit: char) -> Key {
        Key::parse(id, &format!("{}\n", digit.to_string().repeat(64))).unwrap()
    }

    fn sealer(keys: &[Key]) -> Sealer {
        Sealer::new(&Encryption::Keys(keys.to_vec()), Path::new("nowhere"))
    }

    fn why<T: fmt::Debug>(result: Result<T, StoreError>) -> String {
        match result.unwrap_err() {
            StoreError::Broken(why) => why,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn what_is_sealed_opens_in_its_place_only() {
        let sealer = sealer(&[key("2026", 'a')]);
        let sealed = sealer.seal("geheim \u{1f511}".as_bytes(), &HERE).unwrap();
        assert!(sealed.starts_with("sealed:1:2026:") && Sealer::is_sealed(&sealed), "{sealed}");
        assert_eq!(**sealer.open(&sealed, &HERE).unwrap(), *"geheim \u{1f511}".as_bytes());
        assert_ne!(sealer.seal("geheim \u{1f511}".as_bytes(), &HERE).unwrap(), sealed, "a nonce is used twice");
        assert_eq!(**sealer.open(&sealer.seal(b"", &HERE).unwrap(), &HERE).unwrap(), *b"");
        for elsewhere in [
            Place { store: "kps.others", ..HERE },
            Place { key: b"acm", ..HERE },
            Place { column: "passwor", ..HERE },
            // The same bytes in a row, cut elsewhere.
            Place { key: b"acmep", column: "assword", ..HERE },
        ] {
            assert!(why(sealer.open(&sealed, &elsewhere)).contains("moved here from another row"), "{elsewhere:?}");
        }
    }

    #[test]
    fn a_changed_value_does_not_open() {
        let sealer = sealer(&[key("k", 'a')]);
        let sealed = sealer.seal(b"geheim", &HERE).unwrap();
        let data = URL_SAFE_NO_PAD.decode(sealed.rsplit(':').next().unwrap()).unwrap();
        for at in 0..data.len() {
            let mut data = data.clone();
            data[at] ^= 1;
            let changed = format!("sealed:1:k:{}", URL_SAFE_NO_PAD.encode(data));
            assert!(why(sealer.open(&changed, &HERE)).contains("damaged"), "byte {at}");
        }
        for (text, told) in [
            ("geheim", "no sealed value"),
            ("sealed:2:k:AAAA", "no sealed value"),
            ("sealed:1:k", "no sealed value"),
            ("sealed:1:k:AAAA", "damaged"),
            ("sealed:1:k:!", "damaged"),
        ] {
            assert!(why(sealer.open(text, &HERE)).contains(told), "{text}");
        }
    }

    #[test]
    fn keys_are_changed_in_three_steps() {
        let (old, new) = (key("old", 'a'), key("new", 'b'));
        let first = sealer(std::slice::from_ref(&old));
        let sealed = first.seal(b"geheim", &HERE).unwrap();
        // Added as the second: what others seal with it already opens.
        let both = sealer(&[old.clone(), new.clone()]);
        assert_eq!(both.reseal(&sealed, &HERE).unwrap(), None, "nothing to do while the old one seals");
        let turned = sealer(&[new.clone(), old]);
        let resealed = turned.reseal(&sealed, &HERE).unwrap().unwrap();
        assert_eq!(turned.reseal(&resealed, &HERE).unwrap(), None, "it is done once");
        for (sealer, text) in [(&both, &resealed), (&turned, &sealed)] {
            assert_eq!(**sealer.open(text, &HERE).unwrap(), *b"geheim");
        }
        let last = sealer(&[new]);
        assert_eq!(**last.open(&resealed, &HERE).unwrap(), *b"geheim");
        let told = why(last.open(&sealed, &HERE));
        assert!(told.contains("`old`") && told.contains("it has `new`") && told.contains("kps.partners"), "{told}");
        let impostor = sealer(&[key("old", 'c')]);
        assert!(why(impostor.open(&sealed, &HERE)).contains("another key of that name"));
    }

    #[test]
    fn a_node_of_its_own_makes_its_key_when_it_seals() {
        let folder = tempfile::tempdir().unwrap();
        let own = || Sealer::new(&Encryption::Own, folder.path());
        let file = folder.path().join(OWN_KEY);
        assert!(why(own().open("sealed:1:own-12345678:AAAA", &HERE)).contains("cannot be read"));
        assert_eq!(own().fingerprint(false).unwrap(), None);
        assert!(!file.exists(), "a key that opens nothing was made");
        let sealed = own().seal(b"geheim", &HERE).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "no draft is left");
        assert_eq!(**own().open(&sealed, &HERE).unwrap(), *b"geheim");
        assert_eq!(own().fingerprint(false).unwrap(), own().fingerprint(true).unwrap());

        // The node gets a companion: its key, under the name that it has had, is shared.
        let shared = Key::parse(parts(&sealed).unwrap().0, &fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(**sealer(&[key("2026", 'a'), shared]).open(&sealed, &HERE).unwrap(), *b"geheim");

        // It is given another one: what it sealed by itself opens as long as its own is there, and is sealed anew.
        let given = || Sealer::new(&Encryption::Keys(vec![key("2026", 'a')]), folder.path());
        let resealed = given().reseal(&sealed, &HERE).unwrap().unwrap();
        assert_eq!(**sealer(&[key("2026", 'a')]).open(&resealed, &HERE).unwrap(), *b"geheim");
        assert!(why(given().open("sealed:1:own-12345678:AAAA", &HERE)).contains("it has `2026`"));

        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(why(own().open(&sealed, &HERE)).contains("chmod 600"));
        fs::remove_file(&file).unwrap();
        own().seal(b"other", &HERE).unwrap();
        let told = why(own().open(&sealed, &HERE));
        assert!(told.contains("does not have (it has its own, `own-"), "{told}");
        fs::write(&file, "short").unwrap();
        assert!(why(own().open(&sealed, &HERE)).contains("64 hexadecimal digits"));
    }

    #[test]
    fn several_nodes_without_a_shared_key_seal_nothing() {
        let sealer = Sealer::new(&Encryption::Missing, Path::new("nowhere"));
        assert!(why(sealer.seal(b"x", &HERE)).contains("[encryption] keys"));
        assert_eq!(sealer.fingerprint(true).unwrap(), None);
    }

    #[test]
    fn a_key_is_told_by_nothing_but_its_fingerprint() {
        let (a, b) = (key("k", 'a'), key("k", 'b'));
        assert_ne!(a.fingerprint(), b.fingerprint());
        assert_eq!(format!("{:?}", sealer(&[a])), "Sealer(Keys([Key(k)]))");
        for text in ["", "abc", &"g".repeat(64), &"a".repeat(63), &"ä".repeat(32)] {
            assert_eq!(Key::parse("k", text), None, "{text}");
        }
    }
}
