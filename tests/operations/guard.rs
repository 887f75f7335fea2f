//! The flood guard and shedding.
