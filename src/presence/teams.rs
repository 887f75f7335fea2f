//! Rules 2 and 3: what is written into the app session, and how Teams combines.
