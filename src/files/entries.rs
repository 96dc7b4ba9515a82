//! Some entries of a folder, in their order.

use super::FileKind;

/// More than so many bytes of names are never held of one folder, however many are asked for.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// A name in a folder, and what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// As on disk: most names are UTF-8, but none needs to be.
    pub name: &'a [u8],
    /// What it is; a symbolic link is one, wherever it leads.
    pub kind: FileKind,
}

/// Some entries of a folder, sorted by the bytes of their names, which lie one behind the other: what a folder of a
/// million files is read through takes 8 bytes and its name for each that is held.
#[derive(Debug, Default)]
pub struct Entries {
    names: Vec<u8>,
    slots: Vec<Slot>,
    more: bool,
}

/// Where an entry's name lies.
#[derive(Clone, Copy, Debug)]
struct Slot {
    start: u32,
    length: u16,
    kind: FileKind,
}

/// Collects the entries of the smallest names, without holding many more than are wanted.
#[derive(Debug)]
pub(super) struct SmallestNames {
    found: Entries,
    limit: usize,
    /// The smallest name that was left out.
    end: Option<Box<[u8]>>,
}

impl Entry<'_> {
    /// Is the name one that listings leave out unless asked?
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        self.name.starts_with(b".")
    }
}

impl Entries {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Is there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Does the folder hold more after these?
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.more
    }

    /// The entry of this number, from 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Entry<'_>> {
        self.slots.get(index).map(|slot| Entry { name: slot.name(&self.names), kind: slot.kind })
    }

    /// The last of these entries.
    #[must_use]
    pub fn last(&self) -> Option<Entry<'_>> {
        self.get(self.len().checked_sub(1)?)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// Is one of them of this name?
    #[must_use]
    pub fn contains(&self, name: &[u8]) -> bool {
        self.slots.binary_search_by(|slot| slot.name(&self.names).cmp(name)).is_ok()
    }

    fn push(&mut self, entry: Entry<'_>) {
        // Both fit: no file system has names of 64 KiB, and all together are not many more bytes than MAX_BYTES.
        self.slots.push(Slot { start: self.names.len() as u32, length: entry.name.len() as u16, kind: entry.kind });
        self.names.extend_from_slice(entry.name);
    }

    fn bytes(&self) -> usize {
        self.names.len() + size_of_val(&*self.slots)
    }
}

impl Slot {
    fn name(self, names: &[u8]) -> &[u8] {
        let start = self.start as usize;
        &names[start..start + usize::from(self.length)]
    }
}

impl SmallestNames {
    /// Room for `limit` entries.
    pub(super) fn new(limit: usize) -> Self {
        Self { found: Entries::default(), limit: limit.max(1), end: None }
    }

    /// May an entry of this name be one of the smallest? Where not, and it was there, [`Entries::has_more`] will say so.
    pub(super) fn wants(&self, name: &[u8]) -> bool {
        self.end.as_deref().is_none_or(|end| name < end)
    }

    pub(super) fn add(&mut self, entry: Entry<'_>) {
        self.found.push(entry);
        let held = self.found.len();
        // Seldom, so that each time costs little for each entry.
        if held >= self.limit.saturating_mul(2) || self.found.bytes() > MAX_BYTES {
            self.keep(self.limit.min(held / 2));
        }
    }

    pub(super) fn finish(mut self) -> Entries {
        if self.found.len() > self.limit {
            self.keep(self.limit);
        }
        let Entries { names, slots, .. } = &mut self.found;
        slots.sort_unstable_by(|a, b| a.name(names).cmp(b.name(names)));
        if self.found.more {
            self.found.names.shrink_to_fit();
            self.found.slots.shrink_to_fit();
        }
        self.found
    }

    /// Leaves out all but the `count` smallest, of which there are more.
    fn keep(&mut self, count: usize) {
        let Entries { names, slots, more } = &mut self.found;
        let (_, end, _) = slots.select_nth_unstable_by(count, |a, b| a.name(names).cmp(b.name(names)));
        self.end = Some(end.name(names).into());
        *more = true;
        slots.truncate(count);
        // In place, so that the names are never in memory twice: each moves towards the beginning.
        slots.sort_unstable_by_key(|slot| slot.start);
        let mut length = 0;
        for slot in slots {
            let start = slot.start as usize;
            names.copy_within(start..start + usize::from(slot.length), length);
            slot.start = length as u32;
            length += usize::from(slot.length);
        }
        names.truncate(length);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// All names that are wanted of these, and whether there are more.
    fn smallest(names: &[Vec<u8>], limit: usize) -> (Vec<Vec<u8>>, bool) {
        let mut smallest = SmallestNames::new(limit);
        for name in names {
            if smallest.wants(name) {
                smallest.add(Entry { name, kind: FileKind::File });
            }
        }
        let found = smallest.finish();
        let held: HashSet<&[u8]> = found.iter().map(|entry| entry.name).collect();
        assert!(names.iter().all(|name| found.contains(name) == held.contains(&**name)));
        (found.iter().map(|entry| entry.name.to_vec()).collect(), found.has_more())
    }

    #[test]
    fn the_smallest_names_come_in_order() {
        let mut names: Vec<Vec<u8>> =
            (0..1000_u32).map(|n| format!("{:x}", n.wrapping_mul(2_654_435_761)).into_bytes()).collect();
        let shuffled = names.clone();
        names.sort();
        let reversed: Vec<_> = names.iter().rev().cloned().collect();
        for given in [&shuffled, &names, &reversed] {
            for limit in [1, 2, 7, 499, 500, 501, 999] {
                assert_eq!(smallest(given, limit), (names[..limit].to_vec(), true));
            }
            for limit in [1000, 1001, usize::MAX] {
                assert_eq!(smallest(given, limit), (names.clone(), false));
            }
        }
    }

    #[test]
    fn never_holds_more_than_its_bytes() {
        let names: Vec<Vec<u8>> = (0..60_000_u32).map(|n| format!("{n:0>255}").into_bytes()).collect();
        let (found, more) = smallest(&names, usize::MAX);
        assert!(more && (10_000..40_000).contains(&found.len()), "{}", found.len());
        assert_eq!(found, names[..found.len()]);
    }
}
