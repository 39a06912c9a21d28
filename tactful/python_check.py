"""Whether the interpreter has the security fixes that sending mail rests on; a check of `tactful doctor`."""

from typing import Final

from tactful.doctor_checks import CheckState, DoctorFinding

FIRST_FIXED: Final = {(3, 11): 10, (3, 12): 5}
"""For each version of Python the patch level that quotes newlines in mail headers (CVE-2024-6923); later versions of
Python have had it from their beginning.
"""


def check_python(version: tuple[int, int, int]) -> DoctorFinding:
    """Judges a version of Python, such as `sys.version_info[:3]`."""
    name = ".".join(map(str, version))
    needed = FIRST_FIXED.get(version[:2], 0)
    if version[2] >= needed:
        return DoctorFinding("python", CheckState.GREEN, name)
    fixed = f"{version[0]}.{version[1]}.{needed}"
    return DoctorFinding(
        "python",
        CheckState.AMBER,
        f"{name} may write newlines into mail headers (CVE-2024-6923). Tactful refuses them in subjects itself",
        f"use Python {fixed} or newer",
    )
