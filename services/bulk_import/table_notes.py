"""What is said of the tables of one kind of import where every table must be spoken for: erasure, retention, export."""

from services.erasure.erased_stores import ErasedStore


def erased_import_stores(table: str) -> tuple[ErasedStore, ...]:
    """What becomes of them when a customer is erased."""
    return (
        ErasedStore(table, "kept", "numbers of rows of a file, for 30 days"),
        ErasedStore(
            f"{table}_part",
            "kept",
            "rows of a file that wait to be applied, sealed, for minutes; those of an erased customer are then refused",
        ),
        ErasedStore(f"{table}_result", "kept", "numbers of rows and what was wrong, without their values, for 30 days"),
    )


def endless_import_tables(table: str) -> dict[str, str]:
    """Why they have no retention of their own."""
    return {
        table: "goes 30 days after its end, with its results, by a job of its own",
        f"{table}_part": "goes when its rows have been applied",
        f"{table}_result": "goes with its import",
    }


def untold_import_tables(table: str, told_by: str) -> dict[str, str]:
    """Why they are no part of what a customer is told. `told_by`: the table that has what the rows said."""
    return {
        table: "files that somebody imported, not about one customer",
        f"{table}_part": f"rows that wait, sealed, for minutes; `{told_by}` tells what becomes of them",
        f"{table}_result": "numbers of rows, without what they said",
    }
