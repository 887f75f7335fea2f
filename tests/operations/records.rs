//! Records of calls and their history, logs.
