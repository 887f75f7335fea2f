//! How a presence comes about, in words: what `trunkway presence explain` shows.
