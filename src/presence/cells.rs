//! A table whose places are used again, with keys that tell a place's new tenant from the one that was meant.

/// A place in [`Cells`] and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct CellKey {
    pub(super) index: u32,
    pub(super) generation: u32,
}

impl CellKey {
    /// As one number.
    pub(super) const fn to_bits(self) -> u64 {
        ((self.generation as u64) << 32) | self.index as u64
    }

    /// From the number.
    pub(super) const fn from_bits(bits: u64) -> Self {
        Self { index: bits as u32, generation: (bits >> 32) as u32 }
    }
}

/// Values by key; what is large stands in a box.
#[derive(Debug)]
pub(super) struct Cells<T> {
    cells: Vec<Cell<T>>,
    free: Vec<u32>,
    used: usize,
}

#[derive(Debug)]
struct Cell<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Default for Cells<T> {
    fn default() -> Self {
        Self { cells: Vec::new(), free: Vec::new(), used: 0 }
    }
}

impl<T> Cells<T> {
    /// The key that the next [`Cells::insert`] gives.
    pub(super) fn next_key(&self) -> CellKey {
        let index = self.free.last().copied().unwrap_or(self.cells.len() as u32);
        CellKey { index, generation: self.cells.get(index as usize).map_or(0, |cell| cell.generation) }
    }

    /// Puts a value. The owner bounds how many there are, far below 2^32.
    pub(super) fn insert(&mut self, value: T) -> CellKey {
        let key = self.next_key();
        match self.cells.get_mut(key.index as usize) {
            Some(cell) => {
                cell.value = Some(value);
                self.free.pop();
            }
            None => self.cells.push(Cell { generation: key.generation, value: Some(value) }),
        }
        self.used += 1;
        key
    }

    /// Takes a value out; its key is never valid again (until 2^32 others had the place).
    pub(super) fn remove(&mut self, key: CellKey) -> Option<T> {
        let cell = self.cells.get_mut(key.index as usize).filter(|cell| cell.generation == key.generation)?;
        let value = cell.value.take()?;
        cell.generation = cell.generation.wrapping_add(1);
        self.free.push(key.index);
        self.used -= 1;
        Some(value)
    }

    /// The value of a key.
    pub(super) fn get(&self, key: CellKey) -> Option<&T> {
        self.cells.get(key.index as usize).filter(|cell| cell.generation == key.generation)?.value.as_ref()
    }

    /// The value of a key, to change.
    pub(super) fn get_mut(&mut self, key: CellKey) -> Option<&mut T> {
        self.cells.get_mut(key.index as usize).filter(|cell| cell.generation == key.generation)?.value.as_mut()
    }

    /// The keys in use.
    pub(super) fn keys(&self) -> impl Iterator<Item = CellKey> {
        (0..)
            .zip(&self.cells)
            .filter(|(_, cell)| cell.value.is_some())
            .map(|(index, cell)| CellKey { index, generation: cell.generation })
    }

    /// How many values there are.
    pub(super) const fn len(&self) -> usize {
        self.used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_used_again_has_another_key() {
        let mut cells = Cells::default();
        let first = cells.insert('a');
        let second = cells.insert('b');
        assert_eq!(cells.remove(first), Some('a'));
        let third = cells.insert('c');
        assert_eq!((third.index, third == first), (first.index, false));
        assert_eq!((cells.get(first), cells.get(third)), (None, Some(&'c')));
        assert_eq!(cells.remove(first), None);
        assert_eq!(CellKey::from_bits(third.to_bits()), third);
        assert_eq!((cells.keys().collect::<Vec<_>>(), cells.len()), (vec![third, second], 2));
    }
}
