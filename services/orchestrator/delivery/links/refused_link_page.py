"""The page for links that were not sealed here or work no longer. It loads nothing; its style is allowed by hash."""

import base64
import hashlib
from typing import Final

_STYLE: Final = """
:root { color-scheme: light dark; --paper: light-dark(#faf8f5, #17141a); --ink: light-dark(#231f26, #f0ecf2); }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 34rem; margin: 0 auto; padding: 48px 20px; }
h1 { font-size: 1.6rem; line-height: 1.25; font-weight: 620; margin: 0 0 12px; }
p { margin: 0 0 16px; }
"""
REFUSED_LINK_PAGE: Final = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>This link does not work</title>
<link rel="icon" href="data:,">
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>This link does not work</h1>
<p>It may be too old, or it was cut off on its way. Nothing has been changed.</p>
<p>Please look for a newer message, or go to the website of whoever wrote to you.</p>
</main>
</body>
</html>
"""
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
PAGE_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; form-action 'none'; frame-ancestors 'none'; "
    "base-uri 'none'"
)
"""Its Content-Security-Policy."""
