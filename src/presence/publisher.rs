//! Teams' Do not disturb published to the PBX (RFC 3903).
