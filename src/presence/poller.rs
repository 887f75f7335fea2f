//! Which users Graph is asked for, when: spread evenly, watched users first.
