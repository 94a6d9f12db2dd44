//! Boot, converge to a generation, lifecycle, dispatch, the uplink socket
