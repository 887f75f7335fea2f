//! What Graph is told: the difference only, the newest state, within the budgets.
