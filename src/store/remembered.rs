//! What was looked up of late.
//!
//! Two maps instead of one in the order of use: what is looked up goes into the young one, and when that is full it
//! becomes the old one, whose predecessor is dropped. So of so many that fit, at least the half that was used last is
//! there, and a look touches one entry, where a list in the order of use would link three others anew.

use std::hash::Hash;

use hashbrown::{Equivalent, HashMap};

/// Values by key; older ones may have been dropped.
pub struct Remembered<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    /// How many fit into one of the two.
    half: usize,
}

impl<K: Eq + Hash, V> Remembered<K, V> {
    /// Holds so many at most, but one at least.
    pub fn new(most: usize) -> Remembered<K, V> {
        Remembered { young: HashMap::new(), old: HashMap::new(), half: (most / 2).max(1) }
    }

    pub fn get<Q: Hash + Equivalent<K> + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        V: Copy,
    {
        if let Some(value) = self.young.get(key) {
            return Some(*value);
        }
        let (key, value) = self.old.remove_entry(key)?;
        self.insert(key, value);
        Some(value)
    }

    /// What is remembered, else what is read now.
    pub fn get_or_try_insert<E>(&mut self, key: K, read: impl FnOnce() -> Result<V, E>) -> Result<&mut V, E>
    where
        K: Copy,
    {
        if !self.young.contains_key(&key) {
            let value = match self.old.remove(&key) {
                Some(value) => value,
                None => read()?,
            };
            self.insert(key, value);
        }
        match self.young.get_mut(&key) {
            Some(value) => Ok(value),
            None => unreachable!("what was put in is there"),
        }
    }

    pub fn insert(&mut self, key: K, value: V) {
        self.make_room();
        self.young.insert(key, value);
    }

    pub fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    fn make_room(&mut self) {
        if self.young.len() >= self.half {
            std::mem::swap(&mut self.young, &mut self.old);
            // its room is used again
            self.young.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_last_is_there_and_no_more_than_fits() {
        let mut remembered = Remembered::new(8);
        for n in 0..100u32 {
            remembered.insert(n, n * 2);
            assert_eq!(remembered.get(&0), Some(0), "used all the time, at {n}");
            assert!((n.saturating_sub(2)..=n).all(|n| remembered.get(&n) == Some(n * 2)), "at {n}");
            assert!(remembered.len() <= 8);
        }
        assert_eq!(remembered.get(&50), None);
    }

    #[test]
    fn what_is_not_remembered_is_read() {
        let mut remembered = Remembered::new(1);
        let mut reads = 0;
        for key in [1, 1, 2, 2, 1, 3, 1] {
            let value = remembered.get_or_try_insert(key, || {
                reads += 1;
                Ok::<_, ()>(key * 10)
            });
            assert_eq!(value.copied(), Ok(key * 10));
        }
        assert_eq!(reads, 3);
        assert_eq!(remembered.get_or_try_insert(4, || Err("no")), Err("no"));
        remembered.clear();
        assert_eq!(remembered.get(&1), None);
    }
}
