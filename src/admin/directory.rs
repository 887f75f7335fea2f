//! Endpoints: directory.
