//! Sources, solving, the lock, the planner, trust, apply, drift
