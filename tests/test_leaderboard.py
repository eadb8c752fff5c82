"""The leaderboard: val alone, whole files, names once, and only what is alike in one group."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fercourse import course, leaderboard
from fercourse.course import Session
from fercourse.data.synthetic import synthetic_faces
from fercourse.errors import FercourseError
from fercourse.models import create_model, model_table
from fercourse.records import load_records


@pytest.fixture
def session(tmp_path: Path, monkeypatch) -> Session:
    """A smoke session on a few drawn faces, whose board lies in a folder of its own."""
    monkeypatch.delenv(course.STATIC)
    session = Session("smoke", folder=tmp_path / "runs")
    session.faces = synthetic_faces(sizes=(70, 35, 35))
    return session


class Dense(nn.Module):
    """A network that is quickly made."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(48 * 48, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dense(x.flatten(1))


def constant(label: int) -> nn.Module:
    network = Dense()
    nn.init.zeros_(network.dense.weight)
    with torch.no_grad():
        network.dense.bias.copy_(torch.arange(7) == label)
    return network


def test_a_network_is_trained_measured_on_val_and_kept(session: Session) -> None:
    network = Dense()
    before = network.dense.weight.detach().clone()
    row = leaderboard.enter(network, "mine", session)
    assert not torch.equal(network.dense.weight, before)
    with torch.no_grad():
        preds = network.eval()(torch.from_numpy(session.faces.val.images) / 255).argmax(1).numpy()
    assert row["val_accuracy"] == pytest.approx((preds == session.faces.val.labels).mean())
    assert (row["val_images"], row["parameters"], row["macs"]) == (35, 7 * 2305, 7 * 2304)
    assert json.loads(leaderboard.place(session).read_text())["rows"] == [row]


def test_the_test_split_is_never_looked_at(session: Session) -> None:
    session.faces = replace(session.faces, test=None)  # type: ignore[arg-type]
    assert leaderboard.enter(constant(3), "happy", session, trained=True)["val_images"] == 35


def test_a_trained_network_is_measured_as_it_is_in_a_group_of_its_own(session: Session) -> None:
    network = constant(3)
    row = leaderboard.enter(network, "happy", session, trained=True)
    assert row["val_accuracy"] == (session.faces.val.labels == 3).mean()
    assert row["group"] == "drawn faces, trained elsewhere"
    assert not network.dense.weight.any()


def test_a_name_is_entered_once_and_replaced_when_asked(session: Session, monkeypatch) -> None:
    for label, name in ((3, "a"), (1, "b")):
        leaderboard.enter(constant(label), name, session, trained=True)
    with pytest.raises(FercourseError, match=r"'a' already.*replace=True"):
        leaderboard.enter(constant(0), "a", session, trained=True)
    with monkeypatch.context() as patch:
        patch.setattr(Session, "train", lambda *_, **__: pytest.fail("trained first, refused afterwards"))
        with pytest.raises(FercourseError, match="already"):
            leaderboard.enter(Dense(), "a", session)
    leaderboard.enter(constant(4), "a", session, trained=True, replace=True)
    found = {row["name"]: row["val_accuracy"] for row in leaderboard._read(leaderboard.place(session))}
    assert found == {name: (session.faces.val.labels == k).mean() for name, k in (("a", 4), ("b", 1))}


@pytest.mark.parametrize("name", ["", "  ", "x" * 61, "two\nlines", 3, None])
def test_a_name_that_cannot_be_shown_is_refused(session: Session, name) -> None:
    with pytest.raises(FercourseError, match="expected 1 to 60 characters"):
        leaderboard.enter(constant(3), name, session, trained=True)
    assert not leaderboard.place(session).exists()


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "3", '{"format": 1}', '{"format": 2, "rows": []}', '{"format": 1, "rows": {}}',
        '{"format": 1, "rows": [{"name": "a"}]}', "[" * 100_000,
        '{"format": 1, "rows": [{"name": "a", "group": "g", "val_accuracy": NaN, "val_images": 1, '
        '"parameters": 1, "macs": null}]}',
        '{"format": 1, "rows": [{"name": "a", "group": "g", "val_accuracy": 70.0, "val_images": 1, '
        '"parameters": 1, "macs": null}]}',
    ],
)  # fmt: skip
def test_a_damaged_board_is_told_and_left_as_it_is(session: Session, text: str) -> None:
    path = leaderboard.place(session)
    path.parent.mkdir()
    path.write_text(text)
    for look in (leaderboard.table, lambda s: leaderboard.enter(constant(3), "a", s, trained=True)):
        with pytest.raises(FercourseError, match=r"leaderboard.json.*leaderboard.*mend it or delete it"):
            look(session)
    assert path.read_text() == text


def test_logits_that_are_not_finite_are_not_entered(session: Session) -> None:
    network = constant(3)
    nn.init.constant_(network.dense.bias, float("nan"))
    with pytest.raises(FercourseError, match="not all finite"):
        leaderboard.enter(network, "diverged", session, trained=True)
    assert not leaderboard.place(session).exists()


def test_a_trained_network_takes_no_changes(session: Session) -> None:
    for model, changes in ((constant(3), {"epochs": 3}), ("basic_cnn", {})):
        with pytest.raises(FercourseError, match="trained=True"):
            leaderboard.enter(model, "a", session, trained=True, **changes)


def test_the_board_shows_drawn_faces_and_records_apart(session: Session) -> None:
    leaderboard.enter(constant(3), "second", session, trained=True)
    leaderboard.enter(Dense(), "first", session)
    table = leaderboard.table(session)
    groups = list(dict.fromkeys(table.index.get_level_values("group")))
    assert groups[0] == "drawn faces, smoke"
    assert "FER-2013, recipe quick" in groups[1:]
    assert list(table.loc["drawn faces, smoke"].index) == ["first"]
    recorded = table.loc["FER-2013, recipe quick"]
    assert set(recorded["whose"]) == {"recorded"}
    for group in groups:
        accuracies = [float(text.rstrip("%")) for text in table.loc[group]["accuracy on val"]]
        assert accuracies == sorted(accuracies, reverse=True)
    known = {f"{r.metrics('val')['accuracy']:.1%}" for r in load_records() if r.recipe == "quick"}
    assert set(recorded["accuracy on val"]) <= known


def test_an_empty_board_still_shows_the_records(session: Session, monkeypatch) -> None:
    assert set(leaderboard.table(session)["whose"]) == {"recorded"}
    monkeypatch.setattr("fercourse.results.recorded.load_records", list)
    assert leaderboard.table(session).empty


def test_groups_say_data_recipe_and_changes(tmp_path: Path) -> None:
    quick = Session("quick", folder=tmp_path)
    quick.faces = replace(synthetic_faces(sizes=(7, 7, 7)), layout="kaggle folder")
    told = leaderboard.group_of(quick, "vgg11", epochs=20)
    assert told.startswith("your copy of faces (")
    assert told.endswith("), recipe quick, epochs=20")
    assert leaderboard.group_of(quick, recipe="paper2").endswith("recipe paper2")


class Broken(Dense):
    """A network whose output goes through a function of the test's."""

    def __init__(self, last) -> None:
        super().__init__()
        self.last = last

    def forward(self, x: torch.Tensor):
        return self.last(super().forward(x))


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (Dense, "the class itself: make one of it"),
        (None, "is None; expected an nn.Module"),
        (Broken(lambda _: None), "gives NoneType; expected logits"),
        (Broken(lambda out: (out, out)), "gives tuple; expected logits"),
        (Broken(lambda out: out[:, :5]), r"gives \(2, 5\); expected logits, \(2, 7\)"),
        (Broken(lambda out: out[0]), r"gives \(7,\); expected"),
        (Broken(lambda out: out.view(32, 7)), "fails on two images.*RuntimeError, shape"),
        (nn.Conv2d(3, 7, 3), "fails on two images.*3 channels"),
    ],
)
@pytest.mark.parametrize("trained", [False, True])
def test_a_broken_network_is_refused_before_it_is_trained(
    session: Session, monkeypatch, network, words: str, trained: bool
) -> None:
    monkeypatch.setattr(Session, "train", lambda *_, **__: pytest.fail("trained first, refused afterwards"))
    with pytest.raises(FercourseError, match=words):
        leaderboard.enter(network, "broken", session, trained=trained)
    assert not leaderboard.place(session).exists()


def test_a_session_is_asked_for_and_names_are_stripped(session: Session) -> None:
    with pytest.raises(FercourseError, match=r"expected what fercourse.course.start returned"):
        leaderboard.enter(constant(3), "a", "smoke", trained=True)  # type: ignore[arg-type]
    assert leaderboard.enter(constant(3), " a ", session, trained=True)["name"] == "a"
    with pytest.raises(FercourseError, match="already"):
        leaderboard.enter(constant(3), "a", session, trained=True)


def test_lazy_layers_are_entered(session: Session) -> None:
    row = leaderboard.enter(nn.Sequential(nn.Flatten(), nn.LazyLinear(7)), "lazy", session)
    assert (row["parameters"], row["macs"]) == (7 * 2305, 7 * 2304)


def test_attention_is_counted() -> None:
    class Attention(Dense):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.TransformerEncoderLayer(48, 2, 48, dropout=0.0, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(self.layer(x.squeeze(1)))

    products = 48 * 48 * (3 * 48 + 48 + 2 * 48) + 2 * 48 * 48 * 48
    assert leaderboard.count_macs(Attention()) == products + 7 * 2304


def test_macs_are_those_of_the_models_table_and_unknown_where_they_cannot_be_counted() -> None:
    macs = {row["name"]: row["mmacs"] for row in model_table()}
    for name in ("basic_cnn", "mobilenet_v3_small"):
        assert leaderboard.count_macs(create_model(name)) == pytest.approx(1e6 * macs[name], abs=6e4)
    assert leaderboard.count_macs(nn.Flatten()) is None


def test_while_the_book_is_made_the_board_is_thrown_away(session: Session, monkeypatch) -> None:
    monkeypatch.setenv(course.STATIC, "1")
    passing = leaderboard.place(session)
    assert session.folder not in passing.parents
    assert passing == leaderboard.place(session)


def test_the_accuracy_is_a_plain_number(session: Session) -> None:
    row = leaderboard.enter(constant(3), "happy", session, trained=True)
    assert {key: type(value) for key, value in row.items()} == {
        "name": str, "group": str, "val_accuracy": float, "val_images": int, "parameters": int, "macs": int,
    }  # fmt: skip
    assert not isinstance(row["val_accuracy"], np.floating)
