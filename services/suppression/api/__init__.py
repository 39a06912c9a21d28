"""HTTP API of the suppression service: do-not-contact list, holds, situations, and the internal API."""
