"""HTTP: the do-not-contact list, holds, situations, and the doors for the other services."""
