//! End to end: the built binary, called as its users call it.

mod api;
mod asynchronous;
mod hostile;
mod isolation;
mod restart;
mod scripts;
mod shared;
