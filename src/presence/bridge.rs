//! The parts of the bridge, put together: what one says goes to the others.
