//! Many users and many changes.
