"""The inbox of a company's own app: messages lie in our database, and each customer's browser reads its own."""
