"""All kinds of tasks: what a person does comes to the journal as a value of the task."""

import pytest

import sparklabel as sl
from tests.browser.conftest import saved
from tests.browser.reviews import text_row

NAMES = "👩‍👩‍👧‍👦 Zoe\u0308 Müller 😀 met Ana\u0308is in São Paulo 🇧🇷."
MENTIONS = sl.entities("mentions", inputs="text", types=["person", "place"])
POLICY = sl.answering("reply", question="question", context="policy", extractive=True)


@pytest.fixture
def answered(serve, visitor):
    """Opens one row of a task; returns the page, and how to see the answer that came."""

    def start(task, *inputs, value=None, **label):
        review = serve(task=task, rows=[text_row(0, *inputs, value=value, **label)])

        def answer():
            page.locator("#row-title", has_text="Done").or_(
                page.locator("#row-title", has_text="No rows")
            ).wait_for()
            saved(page)
            return review.answers["row-0"]

        page = visitor().comes(review, task=task.name)
        return page, answer

    return start


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)


def test_multilabel_switches_labels_on_and_off(answered):
    topics = sl.multilabel("topics", inputs="text", labels=["billing", "delivery", "praise"])
    page, answer = answered(topics, "a text", value=["billing"])
    press(page, "1", "3", "2", "Enter")
    assert answer() == ["delivery", "praise"]


def test_none_of_the_labels_of_a_blind_row_needs_a_second_enter(serve, visitor):
    topics = sl.multilabel("topics", inputs="text", labels=["billing", "delivery"])
    review = serve(task=topics, rows=[text_row(0, "a text", is_blind=True)])
    page = visitor().comes(review, task="topics")
    press(page, "Enter")
    page.get_by_role("alert").filter(has_text="Once more").wait_for()
    assert review.answers == {}
    press(page, "Enter")
    saved(page)
    assert review.answers == {"row-0": []}


def test_matching_is_yes_or_no_and_marks_what_differs(answered):
    same = sl.matching("same", left=["left_name"], right=["right_name"])
    page, answer = answered(same, "Makita DHP482, blue", "Makita DHP485, blue", value=True)
    assert page.locator("mark").all_inner_texts() == ["2", "5"]
    press(page, "n")
    assert answer() is False


def test_rating_takes_a_digit_of_the_scale(answered):
    page, answer = answered(sl.rating("urgency", inputs="text", scale=(1, 5)), "a text", value=3.4)
    page.get_by_role("button", name="3 of 5 suggested").wait_for()
    press(page, "5")
    assert answer() == 5.0


def test_the_suggestion_of_a_rating_is_the_nearest_point(answered):
    page, answer = answered(sl.rating("urgency", inputs="text", scale=(1, 5)), "a text", value=3.6)
    press(page, "Enter")
    assert answer() == 4.0


def slices(entities, text=NAMES):
    """What Python finds at the places of entities."""
    assert all(text[one["start"] : one["end"]] == one["text"] for one in entities)
    return [(one["text"], one["type"]) for one in entities]


def test_entities_marked_by_keyboard_are_python_slices(answered):
    page, answer = answered(MENTIONS, NAMES)
    press(page, "w", "w", "Shift+ArrowRight", "1")  # past the family; its letters are one word
    press(page, "w", "w", "w", "1")  # past 😀 and "met"
    press(page, "w", "w", "Shift+ArrowRight", "2", "w", "2", "x", "Enter")
    assert slices(answer()) == [
        ("Zoe\u0308 Müller", "person"),
        ("Ana\u0308is", "person"),
        ("São Paulo", "place"),
    ]


def test_entities_marked_by_mouse_are_python_slices(answered):
    page, answer = answered(MENTIONS, NAMES)
    drag(page, "Ana\u0308is")
    press(page, "1")
    drag(page, " 🇧🇷")  # the blank is left out, and the flag is one character of two code points
    page.get_by_role("button", name="2 place").click()
    press(page, "Enter")
    assert slices(answer()) == [("Ana\u0308is", "person"), ("🇧🇷", "place")]


def test_suggested_entities_can_be_retyped_removed_and_resized(answered):
    suggested = [
        {"text": one, "type": kind, "start": NAMES.index(one), "end": NAMES.index(one) + len(one)}
        for one, kind in (("Zoe\u0308", "place"), ("met", "person"), ("São", "place"))
    ]
    page, answer = answered(MENTIONS, NAMES, value=suggested, confidence=None)
    press(page, "Tab", "1", "Shift+ArrowRight")
    press(page, "Tab", "x", "Tab", "Tab", "Shift+ArrowRight", "Enter")
    assert slices(answer()) == [("Zoe\u0308 Müller", "person"), ("São Paulo", "place")]


def drag(page, text):
    """Selects a text with the mouse."""
    corners = page.evaluate(
        """(wanted) => {
            const box = document.querySelector("#texts");
            const nodes = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
            for (let node = nodes.nextNode(); node; node = nodes.nextNode()) {
                const at = node.data.indexOf(wanted);
                if (at < 0) continue;
                const range = document.createRange();
                range.setStart(node, at);
                range.setEnd(node, at + wanted.length);
                const { left, right, top, height } = range.getBoundingClientRect();
                return [left, right, top + height / 2];
            }
        }""",
        text,
    )
    left, right, middle = corners
    page.mouse.move(left + 0.5, middle)
    page.mouse.down()
    page.mouse.move(right - 0.5, middle, steps=3)
    page.mouse.up()


def test_extraction_is_a_form_whose_evidence_is_marked(answered):
    fields = {
        "vendor": {"type": "string", "nullable": False}, "total": "number", "paid": "boolean", "due": "date",
        "items": {"type": "string", "many": True},
    }  # fmt: skip
    text = "Baker Ltd. sold two chairs, one table. Pay $1,250.00 by 1 March."
    suggested = {"vendor": "Baker", "total": 1250.0, "paid": None, "due": "2024-03-01", "items": ["chairs"]}
    page, answer = answered(sl.extraction("invoice", inputs="text", fields=fields), text, value=suggested)
    press(page, "e")
    assert page.locator("mark.evidence").all_inner_texts() == ["Baker"]
    page.keyboard.type("Baker Ltd.")
    press(page, "Tab", "Tab", "Tab", "Tab", "Tab", "Tab")  # a field, and its "not there"
    page.get_by_label("Due", exact=True).fill("2024-02-30")
    press(page, "Enter")
    page.get_by_text("This is not a date").wait_for()
    press(page, "Control+0")
    page.get_by_label("Items", exact=True).focus()
    drag(page, "one table")
    press(page, "Escape", "Enter")
    assert answer() == {
        "vendor": "Baker Ltd.", "total": 1250.0, "paid": None, "due": None, "items": ["chairs", "one table"],
    }  # fmt: skip


CONTEXT = "It may be 😀 returned within 30 days. Shoes too."


def test_answering_takes_words_of_the_context(answered):
    page, answer = answered(POLICY, "How long?", CONTEXT)
    drag(page, "within 30")
    press(page, "Shift+ArrowRight", "Enter")
    assert answer() == "within 30 days"


def test_answering_can_say_that_there_is_no_answer(answered):
    page, answer = answered(POLICY, "How long?", CONTEXT, value="within 30 days")
    assert page.locator(".pending").inner_text() == "within 30 days"
    press(page, "0")
    assert answer() is None


def test_generation_takes_what_is_written(answered):
    task = sl.generation("summary", inputs="text", instructions="Say it in a sentence.")
    page, answer = answered(task, "a text", value="It says a.")
    press(page, "e", "End")
    page.keyboard.type(" And 'b' too: 1, 2, s, u?")
    press(page, "Control+Enter")
    assert answer() == "It says a. And 'b' too: 1, 2, s, u?"


MANY = sl.classification("many", inputs="text", labels=[f"label_{n}_of_all" for n in range(77)])


def test_of_many_labels_the_most_probable_come_first(answered):
    likely = tuple((f"label_{n}_of_all", 0.5 / (n + 1)) for n in (60, 7, 30))
    page, answer = answered(MANY, "a text", value="label_60_of_all", alternatives=likely)
    assert page.locator(".label:visible .name").all_inner_texts() == [name for name, _ in likely]
    press(page, "3")
    assert answer() == "label_30_of_all"


def test_a_label_is_found_by_typing(answered):
    page, answer = answered(MANY, "a text", value="label_60_of_all")
    press(page, "/")
    page.keyboard.type("Lab 71")
    press(page, "Enter")
    assert answer() == "label_71_of_all"


def test_five_hundred_labels_have_a_finder_only(serve, visitor):
    task = sl.classification("many", inputs="text", labels=[f"label {n}" for n in range(500)])
    review = serve(task=task, rows=[text_row(0, "a text", is_blind=True)])
    page = visitor().comes(review, task="many")
    assert page.locator(".label:visible").count() == 0
    press(page, "1")
    page.get_by_role("alert").filter(
        has_text="No label has this key here: press / and type its name."
    ).wait_for()
    press(page, "/")
    page.keyboard.type("label 499")
    press(page, "Enter")
    saved(page)
    assert review.answers == {"row-0": "label 499"}
