//! The few smallest of many items, without holding the many.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Keeps the `limit` items of the smallest keys. Keys are unique.
#[derive(Debug)]
pub struct Smallest<K, T> {
    limit: usize,
    heap: BinaryHeap<Keyed<K, T>>,
}

impl<K: Ord, T> Smallest<K, T> {
    /// Room for `limit` items.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, heap: BinaryHeap::new() }
    }

    /// Would an item of this key be kept?
    #[must_use]
    pub fn wants(&self, key: &K) -> bool {
        self.heap.len() < self.limit || self.heap.peek().is_some_and(|largest| *key < largest.key)
    }

    /// Adds an item; the largest goes when there are too many.
    pub fn push(&mut self, key: K, item: T) {
        if !self.wants(&key) {
            return;
        }
        self.heap.push(Keyed { key, item });
        if self.heap.len() > self.limit {
            self.heap.pop();
        }
    }

    /// The items that were kept, smallest first.
    pub fn into_sorted(self) -> impl Iterator<Item = (K, T)> {
        self.heap.into_sorted_vec().into_iter().map(|keyed| (keyed.key, keyed.item))
    }
}

#[derive(Debug)]
struct Keyed<K, T> {
    key: K,
    item: T,
}

impl<K: Ord, T> Ord for Keyed<K, T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
}

impl<K: Ord, T> PartialOrd for Keyed<K, T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: Ord, T> PartialEq for Keyed<K, T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<K: Ord, T> Eq for Keyed<K, T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_smallest_in_order() {
        let mut smallest = Smallest::new(3);
        for key in [5, 9, 1, 7, 3, 8] {
            smallest.push(key, key * 10);
        }
        assert_eq!(smallest.into_sorted().collect::<Vec<_>>(), [(1, 10), (3, 30), (5, 50)]);
    }
}
