"""Messages that agents choose for one customer: campaigns that are for them, within a budget a day."""
