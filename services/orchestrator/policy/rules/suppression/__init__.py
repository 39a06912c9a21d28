"""The rule `suppression`: customers and addresses on the do-not-contact list are not contacted."""
