//! Rule 1: the greatest of all line states and the user presence wins.
