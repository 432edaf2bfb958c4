"""What rows and labels hold is text and nothing else; long and odd texts. That consoles are clean under the policy, and
that no other host is asked, is checked of every visitor."""

import sparklabel as sl
from tests.browser.conftest import saved
from tests.browser.reviews import text_row

SCRIPT = "<script>document.title = 'hacked'</script><img src=x onerror=alert(1)>{{ 7*7 }}"


def test_markup_is_text_everywhere(visitor, serve):
    labels = {SCRIPT: SCRIPT, "<b>bold</b>": "{% raw %}", "u": "named like a key"}
    task = sl.classification("tone", inputs=["text", "other"], labels=labels, instructions=SCRIPT)
    review = serve(
        task=task, rows=[text_row(0, SCRIPT, SCRIPT, value=SCRIPT), text_row(1, "b", "b", value="u")]
    )
    page = visitor().comes(review, name="<i>ann</i>")
    assert page.locator(".work").inner_text().count(SCRIPT) == 3  # two texts, a label
    assert page.locator("aside").inner_text().count(SCRIPT) == 3  # instructions, a label, its description
    assert page.title() == "tone · sparklabel"
    assert page.locator("main :is(script, img, b, i)").count() == 0
    page.keyboard.press("1")
    saved(page)
    assert review.answers == {"row-0": SCRIPT}
    page.goto(review.url)
    assert SCRIPT[:50] in page.locator("main").inner_text()


def test_a_text_of_a_megabyte_is_cut_until_all_is_wanted(visitor, serve):
    text = "word " * 200_000 + "😀 end"
    page = visitor().comes(serve(rows=[text_row(0, text, value="good")]))
    shown = page.locator("#texts .text")
    assert len(shown.text_content()) < 5000
    page.get_by_role("button", name="Show all").click()
    assert shown.text_content() == text


def test_an_entity_behind_the_cut_keeps_its_place(visitor, serve):
    text = "😀 word " * 5000 + "Ada"
    task = sl.entities("mentions", inputs="text", types=["person"])
    ada = {"text": "Ada", "type": "person", "start": len(text) - 3, "end": len(text)}
    review = serve(task=task, rows=[text_row(0, text, value=[ada])])
    page = visitor().comes(review, task="mentions")
    page.get_by_role("button", name="Remove person Ada").wait_for()
    page.keyboard.press("Enter")
    saved(page)
    assert review.answers == {"row-0": [ada]}


def test_odd_texts_are_shown(visitor, serve):
    task = sl.classification("tone", inputs=["a", "b", "c", "d"], labels=["x", "y"])
    page = visitor().comes(
        serve(task=task, rows=[text_row(0, None, "", "bell \x07 \x00", "مرحبا بالعالم", value="x")])
    )
    assert page.locator("#texts .text").all_inner_texts() == [
        "NULL", "an empty text", "bell ␇ ␀", "مرحبا بالعالم",
    ]  # fmt: skip


def test_one_label_is_enough(visitor, serve):
    task = sl.classification("tone", inputs="text", labels=["only"])
    review = serve(task=task, rows=[text_row(0, "a")])
    page = visitor().comes(review)
    page.keyboard.press("1")
    saved(page)
    assert review.answers == {"row-0": "only"}
