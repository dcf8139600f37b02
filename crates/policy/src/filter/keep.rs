//! State that outlives a reload: rate-limit counters, pools, caches.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Where kept state belongs, what type it has, and the settings it was made for.
type Slot = (String, TypeId, u64);

/// A registry of weak references, keyed by place and shape: a filter that is built anew at the same place with the same
/// shape finds the state of its predecessor, as long as any generation that uses it lives.
#[derive(Default)]
pub struct Keeper(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    states: HashMap<Slot, Weak<dyn Any + Send + Sync>>,
    /// How many there may be until those that nobody uses any more are looked for.
    most: usize,
}

impl Keeper {
    /// The state at this place with this shape, or what `make` makes.
    pub fn keep<T: Any + Send + Sync>(&self, place: &str, shape: impl Hash, make: impl FnOnce() -> T) -> Arc<T> {
        let mut hasher = DefaultHasher::new();
        shape.hash(&mut hasher);
        let slot = (place.to_owned(), TypeId::of::<T>(), hasher.finish());
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = kept.states.get(&slot).and_then(Weak::upgrade).and_then(|s| s.downcast::<T>().ok()) {
            return state;
        }
        if kept.states.len() >= kept.most {
            kept.states.retain(|_, weak| weak.strong_count() > 0);
            kept.most = 2 * kept.states.len() + 16;
        }
        let state = Arc::new(make());
        let erased: Arc<dyn Any + Send + Sync> = state.clone();
        kept.states.insert(slot, Arc::downgrade(&erased));
        state
    }
}
