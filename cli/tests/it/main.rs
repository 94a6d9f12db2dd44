//! What the program really prints, exits with and leaves on disk.
mod house;
