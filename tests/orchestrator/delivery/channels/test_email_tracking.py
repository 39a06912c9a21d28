"""Links of our own in mails: only the values of `href` change, whatever the page looks like."""

from __future__ import annotations

import html as markup
import random
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from schemas.times import DAY
from services.orchestrator.delivery.channels.email.channel import MAX_MARKETING_HTML
from services.orchestrator.delivery.channels.email.mjml import mjml_to_html
from services.orchestrator.delivery.channels.email.tracking import MAX_LINKS, track_links
from services.orchestrator.delivery.links.link_tracker import MessageLinks
from services.orchestrator.delivery.links.sealed_links import LinkKind, LinkSealer

SEALER = LinkSealer(["a-key-of-the-tests-0123456789-abcdef"])
BASE, LAST_DAY = "https://links.example", 20_000
UNSUBSCRIBE = "https://tactful.example/u/token"
KEPT = ("https://tactful.example/u/", "https://tactful.example/p/", f"{BASE}/")


def track(page: str, cls: str = "marketing") -> str:
    links = MessageLinks(SEALER, BASE, "msg_1", cls, LAST_DAY, KEPT)
    content = {"subject": "S", "html": page, "text": "T https://shop.example/a", "unsubscribe": UNSUBSCRIBE}
    tracked = track_links(content, cls, links)
    assert {**tracked, "html": page} == content
    return tracked["html"]


def opened(kind: LinkKind, url: str | None) -> str | None:
    """Where a link of ours leads; None for every other link."""
    prefix = f"{BASE}/{kind}/"
    if url is None or not url.startswith(prefix):
        return None
    link = SEALER.unseal(kind, url.removeprefix(prefix), LAST_DAY * DAY)
    assert link is not None
    return link.target or ""


def as_sent(link: str) -> str:
    """A link as browsers send it: other alphabets percent-encoded."""
    return quote(link.strip(" "), safe="".join(map(chr, range(0x21, 0x7F))))


def restored(page: str) -> tuple[str, int, int]:
    """A page as a parser reads it, with its https links as browsers send them, ours led back, and without our pictures;
    how many there were of each.
    """
    tree = LexborHTMLParser(page)
    links = pictures = 0
    for node in tree.css("[href]"):
        href = node.attributes.get("href") or ""
        if (target := opened("l", href)) is not None:
            links += 1
        if href.strip(" ").lower().startswith("https://"):
            node.attrs["href"] = as_sent(target or href)
    for image in tree.css("img"):
        if opened("o", image.attributes.get("src")) is not None:
            image.decompose()
            pictures += 1
    return tree.html or "", links, pictures


def parsed(page: str) -> str:
    """A page without links of ours, as `restored` has it."""
    found, links, pictures = restored(page)
    assert links == pictures == 0
    return found


def hrefs(page: str) -> list[str | None]:
    return [node.attributes.get("href") for node in LexborHTMLParser(page).css("a, area")]


PIECES = [
    *("<p>", "</p>", "<table>", "<tr>", "<td>", "</td>", "</table>", "<div style='a:b'>", "</div>", "<br/>", "text & "),
    *("</a>", "<b>", "</b>", "&amp;", "&copy", "<!--", "-->", "<!-->", "--!>", "<!doctype html>", "<?xml ?>", "</>"),
    *("<style>", "</style>", "<title>", "</title>", "<textarea>", "</textarea>", "<svg>", "</svg>", "<![CDATA[", "]]>"),
    *("<html>", "<head>", "</head>", "<body>", "</body>", "</html>", "<img alt='>'>", "<!--[if mso]>", "<![endif]-->"),
    *("<noscript>", "</noscript>", "<select>", "<option>", "<math>", "<template>", "</template>", "<xmp>", "</xmp>"),
    *("<", ">", '"', "'", "=", "/", " ", "\n", "\t", "\r", "<a", "<a href", "href=", "<p title='"),
    *("<i x=\"<a href=y>\">",),
    *('<a href="https://a.example/x?y=1&amp;z=2">', "<a href='https://b.example/\"q\"'>", "<a href=https://c.example/>"),
    *("<A HREF = 'https://d.example/&copy=3&lt=4'>", '<area href="https://e.example/ü?ö#ä">', "<a href=''>"),
    *("<a href=x>", "<plaintext>"),
    *('<a href="https://f.example/a b">', '<a href=" https://g.example ">', '<a class=x href="https://h.example"id=y>'),
    *(f'<a href="{UNSUBSCRIBE}">', '<a href="mailto:a@b.example">', '<a href="tel:+44">', '<a href="#top">'),
    *("<a href=\"https://i.example/\" href='https://j.example/'>", "<a data-track=off href=https://k.example>"),
]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=14).map("".join))
def test_any_page_is_the_same_but_for_links_and_the_picture(page: str) -> None:
    tracked = track(page)
    if tracked == page:
        return
    found, _, pictures = restored(tracked)
    assert found == parsed(page)
    assert pictures <= 1


def test_most_such_pages_are_tracked() -> None:
    """Pages that keep their own links would pass the test above."""
    chance, tracked = random.Random(5), 0
    for _ in range(300):
        page = "".join(chance.choices(PIECES, k=8))
        tracked += track(page) != page
    assert tracked > 150


links_of_values = st.text(
    st.characters(exclude_characters="\x7f", exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp", "Cf", "Cn", "Co"]),
    max_size=60,
)


@settings(deadline=None)
@given(links_of_values, st.sampled_from(['"', "'"]))
def test_a_value_of_liquid_in_a_link_leads_where_it_did(value: str, quotes: str) -> None:
    """As the templates write values into attributes: escaped."""
    link = f"https://shop.example/?q={value}"
    tracked = track(f"<p><a href={quotes}{markup.escape(link)}{quotes}>Go</a></p>")
    (found,) = hrefs(tracked)
    assert opened("l", found) == as_sent(link)


@pytest.mark.parametrize(
    ("href", "target"),
    [
        ("https://shop.example/a?b=1&amp;c=2", "https://shop.example/a?b=1&c=2"),
        ("https://shop.example/a?b=1&copy=2", "https://shop.example/a?b=1&copy=2"),  # no reference in an attribute
        ("https://shop.example/a?b=1&#38;c=%20", "https://shop.example/a?b=1&c=%20"),
        ("HTTPS://Shop.example/#part", "HTTPS://Shop.example/#part"),
        (" https://shop.example/ ", "https://shop.example/"),
        ("https://shop.example/größe?ö=ß", "https://shop.example/gr%C3%B6%C3%9Fe?%C3%B6=%C3%9F"),
    ],
)
def test_a_link_leads_where_it_did(href: str, target: str) -> None:
    (found,) = hrefs(track(f'<a href="{href}">x</a>'))
    assert opened("l", found) == target


@pytest.mark.parametrize(
    "href",
    [
        UNSUBSCRIBE,
        f"{UNSUBSCRIBE}?lang=de",
        "https://tactful.example/p/token",
        f"{BASE}/l/other",
        "mailto:help@shop.example",
        "tel:+4912345",
        "sms:+4912345",
        "#top",
        "",
        "http://shop.example/",
        "//shop.example/",
        "https://",
        "https:/shop.example/",
        "https://bücher.example/",
        "https://shop.example/a\tb",
        "https://shop.example/\u202e",
        f"https://shop.example/{'a' * 1000}",
    ],
)
def test_other_links_stay(href: str) -> None:
    assert hrefs(track(f'<a href="{href}">x</a>')) == [href]


def test_a_link_that_says_so_stays_and_others_do_not() -> None:
    page = '<a data-track="off" href="https://a.example">a</a><a href="https://b.example">b</a>'
    first, second = hrefs(track(page))
    assert first == "https://a.example"
    assert opened("l", second) == "https://b.example"


def test_what_is_no_link_stays() -> None:
    page = (
        '<!-- <a href="https://a.example"> --><style>a[href="https://b.example"]{}</style><title><a href='
        '"https://c.example"></title><p title="<a href=https://d.example>">https://e.example</p>'
        '<link href="https://f.example"><img src="https://g.example/x.png">'
    )
    tracked = track(page)
    assert tracked.startswith(page)
    assert restored(tracked) == (parsed(page), 0, 1)


def test_the_picture_stands_at_the_end_of_the_body() -> None:
    tracked = track("<html><body><p>x</p></body></html><!-- </body> -->")
    assert tracked.endswith('style="display:block;border:0"></body></html><!-- </body> -->')
    assert restored(tracked)[1:] == (0, 1)


def test_a_link_behind_the_end_of_the_body_is_one() -> None:
    page = '<body><p>x</p></body><a href="https://a.example">a</a>'
    assert restored(track(page))[1:] in {(1, 1), (0, 0)}
    assert "<p>x</p>" in track(page)


def test_mjml_keeps_its_form() -> None:
    page = mjml_to_html(
        '<mjml><mj-body><mj-section><mj-column><mj-button href="https://shop.example/?a=1&amp;b=2">Go</mj-button>'
        '<mj-text><a data-track="off" href="https://b.example">b</a></mj-text></mj-column></mj-section></mj-body></mjml>'
    )
    tracked = track(page)
    assert restored(tracked) == (parsed(page), 1, 1)


def test_a_mail_that_would_be_cut_off_keeps_its_own_links() -> None:
    link = '<a href="https://shop.example/">x</a>'
    page = link + "x" * (MAX_MARKETING_HTML - len(link) - 100)
    assert track(page) == page
    assert track(page, "service") != page


def test_only_so_many_links_are_replaced() -> None:
    page = "<p>" + '<a href="https://a.example">x</a>' * (MAX_LINKS + 5) + "</p>"
    assert restored(track(page, "service")) == (parsed(page), MAX_LINKS, 1)


def test_a_token_reads_its_class_and_nothing_of_the_target() -> None:
    tracked = track('<a href="https://shop.example/?customer=c-1">x</a>', "transactional")
    assert f'href="{BASE}/l/transactional.' in tracked
    assert "c-1" not in tracked
    assert "shop.example" not in tracked


def test_a_page_of_unclosed_markup_takes_no_time() -> None:
    for piece in ("<!--", "<a href='", "<a x=", "<style>", "<", "</body", "<a href=https://a.example ", "<![CDATA["):
        page = piece * 20_000
        track(page, "service")
