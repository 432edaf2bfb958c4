"""Mixtures as files."""

from pathlib import Path

import pytest

import sparklabel as sl
from sparklabel.errors import SetupError, TaskError

VERDICT = sl.classification("verdict", "text", ["fresh", "rotten"], "Judge.")


def write(folder: Path, text: str) -> Path:
    (folder / "mixture.yaml").write_text(text)
    return folder / "mixture.yaml"


def test_a_mixture_is_read_from_a_file(tmp_path: Path):
    (tmp_path / "verdict.yaml").write_text(
        "{kind: classification, name: verdict, inputs: [text], labels: [fresh, rotten], instructions: Judge.}"
    )
    file = write(
        tmp_path,
        """
        cap: 5000
        few_shot: [0, 2]
        sources:
          - {table: reviews, key: id, weight: 2, task: verdict.yaml}
          - {table: ./tables/more, answers: gold, held_out: true, task: {kind: rating, name: stars, inputs: [text],
             scale: [1, 2, 3]}}
        """,
    )
    found = sl.load_mixture(file)
    assert (found.cap, found.few_shot, found.seed) == (5000, (0, 2), 0)
    assert found.sources[0] == sl.source("reviews", VERDICT, key="id", weight=2)
    assert found.sources[1].table == str(tmp_path / "tables/more")
    assert found.trained == found.sources[:1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sources: [", "is not YAML"),
        ("- 1", "is not a mixture: it has no fields"),
        ("cap: 5", "has no list of `sources`"),
        ("sources: [{table: t}]", "has no task"),
        ("sources: [{table: t, task: nowhere.yaml}]", "there is no task file"),
        ("{sources: [], temprature: 1}", "did you mean temperature"),
        ("sources: [{table: t, task: x.yaml, wieght: 1}]", "did you mean weight"),
        (
            "sources: [{table: t, weight: 0, task: {kind: rating, name: stars, inputs: [text], scale: [1, 2]}}]",
            r"Source 1 of .*mixture\.yaml: weight=0",
        ),
    ],
)
def test_a_file_that_is_no_mixture_says_why(tmp_path: Path, text, message):
    with pytest.raises((SetupError, TaskError), match=message):
        sl.load_mixture(write(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(SetupError, match=r"none\.yaml cannot be read"):
        sl.load_mixture(tmp_path / "none.yaml")


@pytest.mark.parametrize("file", sorted(Path("conf/mixtures").glob("*.yaml")), ids=str)
def test_the_mixtures_of_conf_can_be_read(file):
    assert len(sl.load_mixture(file).trained) >= 2
