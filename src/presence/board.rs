//! What is known of each user on the PBX side: the state of each source with its lifetime, merged by rule 1.
