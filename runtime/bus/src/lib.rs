//! Topics, access lists, routing and backpressure
