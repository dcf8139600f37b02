//! What a load reads beside the files of the folder: variables and secret files. Remembered, so that their change is noticed.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use policy::reader::{Outside, SecretError};

/// Passes every question on, and keeps the question with a hash of the answer.
pub(crate) struct Recorder {
    inner: Arc<dyn Outside>,
    strict: bool,
    seen: Mutex<BTreeMap<Question, u64>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Question {
    Variable(String),
    File(String),
    Content(String),
}

impl Recorder {
    /// `strict`: whether what is missing is an error.
    pub(crate) fn new(inner: Arc<dyn Outside>, strict: bool) -> Self {
        Recorder { inner, strict, seen: Mutex::default() }
    }

    /// A hash of all answers so far.
    pub(crate) fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for answer in self.seen().values() {
            answer.hash(&mut hasher);
        }
        hasher.finish()
    }

    /// The same with every question asked again: another hash means that something outside changed.
    pub(crate) fn hash_now(&self) -> u64 {
        let questions: Vec<Question> = self.seen().keys().cloned().collect();
        let mut hasher = DefaultHasher::new();
        for question in questions {
            let answer = match &question {
                Question::Variable(name) => hash(&self.inner.variable(name).map(String::into_bytes)),
                Question::File(path) => hash(&self.inner.file(path).map(String::into_bytes)),
                Question::Content(path) => hash(&self.inner.content(path)),
            };
            answer.hash(&mut hasher);
        }
        hasher.finish()
    }

    /// The files that were asked for, as they are named.
    pub(crate) fn files(&self) -> Vec<String> {
        let path = |question: &Question| match question {
            Question::Variable(_) => None,
            Question::File(path) | Question::Content(path) => Some(path.clone()),
        };
        self.seen().keys().filter_map(path).collect()
    }

    /// The variables that were asked for.
    pub(crate) fn variables(&self) -> Vec<String> {
        let name = |question: &Question| match question {
            Question::Variable(name) => Some(name.clone()),
            Question::File(_) | Question::Content(_) => None,
        };
        self.seen().keys().filter_map(name).collect()
    }

    /// The first answer stays: it is what the configuration was made of. Whoever asks once more, as lints do, may be told what was saved
    /// meanwhile, and that is to be loaded still.
    fn keep(&self, question: Question, answer: &Result<Vec<u8>, SecretError>) {
        self.seen().entry(question).or_insert_with(|| hash(answer));
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<Question, u64>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hash(answer: &Result<Vec<u8>, SecretError>) -> u64 {
    let mut hasher = DefaultHasher::new();
    answer.as_ref().ok().hash(&mut hasher);
    hasher.finish()
}

impl Outside for Recorder {
    fn variable(&self, name: &str) -> Result<String, SecretError> {
        let answer = self.inner.variable(name);
        self.keep(Question::Variable(name.to_owned()), &answer.clone().map(String::into_bytes));
        answer
    }

    fn file(&self, path: &str) -> Result<String, SecretError> {
        let answer = self.inner.file(path);
        self.keep(Question::File(path.to_owned()), &answer.clone().map(String::into_bytes));
        answer
    }

    fn content(&self, path: &str) -> Result<Vec<u8>, SecretError> {
        let answer = self.inner.content(path);
        self.keep(Question::Content(path.to_owned()), &answer);
        answer
    }

    fn open_to_others(&self, path: &str) -> bool {
        self.inner.open_to_others(path)
    }

    fn clear_secrets(&self) -> bool {
        self.inner.clear_secrets()
    }

    fn strict(&self) -> bool {
        self.strict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Changing(Mutex<String>);
    impl Outside for Changing {
        fn variable(&self, _: &str) -> Result<String, SecretError> {
            Err(SecretError::Missing)
        }
        fn file(&self, _: &str) -> Result<String, SecretError> {
            Ok(self.0.lock().unwrap().clone())
        }
    }

    #[test]
    fn a_secret_that_is_rotated_is_noticed() {
        let outside = Arc::new(Changing(Mutex::new(String::from("a"))));
        let recorder = Recorder::new(outside.clone(), true);
        let _ = (recorder.variable("X"), recorder.file("secret"));
        assert_eq!(recorder.files(), ["secret"]);
        assert_eq!(recorder.hash(), recorder.hash_now());
        *outside.0.lock().unwrap() = String::from("b");
        assert_ne!(recorder.hash(), recorder.hash_now());
    }

    #[test]
    fn a_secret_that_is_rotated_while_it_is_read_is_noticed() {
        let outside = Arc::new(Changing(Mutex::new(String::from("a"))));
        let recorder = Recorder::new(outside.clone(), true);
        assert_eq!(recorder.file("secret"), Ok(String::from("a")));
        *outside.0.lock().unwrap() = String::from("b");
        assert_eq!(recorder.file("secret"), Ok(String::from("b")), "as a lint asks once more");
        assert_ne!(recorder.hash(), recorder.hash_now());
    }
}
