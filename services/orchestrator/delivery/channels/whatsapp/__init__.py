"""WhatsApp: approved templates with parameters, and free text within a day of the customer's last message."""
