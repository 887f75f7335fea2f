//! What the door sees and changes of the presence.
