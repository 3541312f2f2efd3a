//! Decides what is due: the ticks, each a small reconciler that may run in several processes at once; and the listeners.

pub mod listen;
pub mod ticks;
