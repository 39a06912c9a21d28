"""`tactful receipts`: takes what a mail server has to say about mails that were sent."""

import sys
from typing import Annotated, Final

import httpx
import typer

from services.kit.http.path_segments import quote_segment
from tactful.command_errors import CommandError, error_from_response
from tactful.connection import connect_to_public_routes
from tactful.output import print_message

app = typer.Typer(no_args_is_help=True, help="Take bounces, complaints and unsubscribes that come as mails.")
EXIT_TEMPFAIL: Final = 75
"""EX_TEMPFAIL of sysexits.h: the mail server keeps the mail, and tries again."""
MAX_BYTES: Final = 128 * 1024
"""Of the mail; what counts stands at its beginning."""
_NOT_OURS: Final = (400, 413, 415, 422)
"""Answers to a mail that leads to nothing, however often it is sent."""


@app.callback()
def group() -> None:
    """Keeps `mail` a command of its own."""


@app.command("mail")
def take_mail(
    adapter: Annotated[str, typer.Argument(help="The name of the adapter that has sent the mails.")],
    recipient: Annotated[
        str | None, typer.Option(help="The address that the mail went to, where its headers do not show it.")
    ] = None,
) -> None:
    """Read one mail from standard input, as mail servers pass it to a program, and take what it says.

    Exit code 0 once it has taken effect, or if it is about no message of ours; 75 if it has to be tried again.
    """
    mail = _read_all()
    query = {} if recipient is None else {"recipient": recipient}
    headers = {"content-type": "message/rfc822"}
    try:
        with connect_to_public_routes() as client:
            path = f"/v1/receipts/{quote_segment(adapter)}"
            answer = client.post(path, content=mail, headers=headers, params=query)
    except httpx.HTTPError as error:
        raise CommandError(f"Tactful cannot be reached: {type(error).__name__}", exit_code=EXIT_TEMPFAIL) from None
    if answer.is_success:
        counts = answer.json()
        print_message(f"{counts['new']} new, {counts['repeated']} repeated, {counts['unknown']} about unknown messages")
        return
    refusal = error_from_response(answer)
    if answer.status_code in _NOT_OURS:
        print_message(f"the mail is passed over: {refusal.message}")
        return
    refusal.exit_code = EXIT_TEMPFAIL
    raise refusal


def _read_all() -> bytes:
    """The beginning of the mail. The rest is read as well: a server takes a closed pipe for a failure."""
    kept = sys.stdin.buffer.read(MAX_BYTES)
    while sys.stdin.buffer.read(MAX_BYTES):
        pass
    return kept
