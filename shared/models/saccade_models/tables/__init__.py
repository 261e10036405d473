"""Tables of users: reading them, what their columns hold, what is wrong in them, and rows as a network takes them."""
