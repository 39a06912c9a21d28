"""The rule `address`: a message needs an address that its channel can use."""
