//! Directory synchronisation against the stand-in.
