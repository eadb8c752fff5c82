"""What has no record is pending; what has one appears by itself, in tables and in the chapters."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jupytext
import matplotlib.pyplot as plt
import pytest
from recorded import example

import notebooks
from fercourse import plots, results
from fercourse.grids import GRIDS, grid
from fercourse.papers import TABLE1, TABLE2
from fercourse.records import final_entries, is_final, results_folder, write_record

CHAPTERS = sorted((Path(__file__).parents[1] / "chapters").glob("[0-9]*.py"))


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of results with all that is committed but the records of trainings."""
    shutil.copytree(results_folder(), tmp_path / "results", ignore=shutil.ignore_patterns("runs"))
    monkeypatch.setenv("FERCOURSE_RESULTS", str(tmp_path / "results"))
    return tmp_path / "results"


def add(folder: Path, model: str, recipe: str = "paper1", **changes: Any) -> None:
    """Write a made-up record, with test predictions where they may be reported."""
    record = example(recipe, model=model, **changes)
    if is_final(record["config"], final_entries()):
        record = example(recipe, with_test=True, model=model, **changes)
    write_record(record, folder)


@pytest.fixture
def quick(empty: Path) -> list[Path]:
    """The two trainings on a processor that chapters show in detail, as they are committed."""
    (empty / "runs").mkdir()
    committed = Path(__file__).parents[1] / "results" / "runs"
    return [
        Path(shutil.copy(committed / f"{model}-quick-seed0-cpu.json", empty / "runs"))
        for model in ("basic_cnn", "small_vgg")
    ]


@pytest.fixture(scope="module")
def all_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seeds of every training of every grid and of what final.yml lists; made once, to be copied."""
    folder = tmp_path_factory.mktemp("everything") / "results"
    shutil.copytree(results_folder(), folder, ignore=shutil.ignore_patterns("runs"))
    wanted = {json.dumps(c.to_dict(), sort_keys=True): c for name in GRIDS for c in grid(name, seeds=3)}
    for config in wanted.values():
        values = asdict(config)  # to_dict leaves out what is switched off, and the recipe may have it on
        if values["recipe"] != "smoke":
            add(folder, values.pop("model"), values.pop("recipe"), **values)
    for entry in final_entries():
        for seed in range(3):
            with contextlib.suppress(Exception):  # it is in a grid, and there already
                add(folder, entry["model"], entry["recipe"], seed=seed, **(entry.get("changes") or {}))
    return folder / "runs"


@pytest.fixture
def everything(empty: Path, quick: list[Path], all_runs: Path) -> Path:
    """All records that there will be, and the committed ones of ``quick`` as they are."""
    kept = {path.name for path in quick}
    for path in all_runs.iterdir():
        if path.name not in kept:
            shutil.copy(path, empty / "runs")
    return empty


@pytest.mark.usefixtures("empty")
def test_without_records_all_is_pending() -> None:
    for table in (results.table1(), results.table2()):
        ours = [column for column in table.columns if column.startswith("ours")]
        assert ours
        assert (table[ours] == results.PENDING).all(axis=None)
    assert list(results.table1().index) == list(TABLE1)
    assert list(results.table2().index) == list(TABLE2)
    assert results.table2().loc["se_resnet34", "paper, test"] == "70.80%"
    assert results.table1().loc["flip and crop", "paper, val"] == "70.10%"


def test_a_record_appears_in_its_row_alone(empty: Path) -> None:
    add(empty, "resnet18", augment={"crop": 0.0})
    assert results.table1()["ours, val"].ne(results.PENDING).to_dict() == {
        name: name == "flip alone" for name in TABLE1
    }
    add(empty, "vgg16")
    add(empty, "vgg16", seed=1)
    assert results.table2()["ours, test"].ne(results.PENDING).to_dict() == {
        name: name == "vgg16" for name in TABLE2
    }
    text = results.table2().loc["vgg16", "ours, test"]
    vgg16 = next(group for group in results.groups("table2") if group.model == "vgg16")
    first, second = vgg16.accuracies()
    assert text == f"{(first + second) / 2:.1%} ± {100 * abs(first - second) / 2**0.5:.1f} (2 seeds)"


def test_trainings_on_a_processor_are_named_so_wherever_they_are_shown(empty: Path) -> None:
    from fercourse.results.shown import marked, record_links, seeds_of

    for seed, kind in enumerate(("cpu", "cuda")):
        record = example(with_test=True, model="vgg16", seed=seed)
        record["environment"]["device_kind"] = kind
        record["name"] += "-cpu" * (kind == "cpu")
        write_record(record, empty)
        (group,) = (group for group in results.groups("table2") if group.model == "vgg16")
        mark = ("CPU", "1 of 2 on a CPU")[seed]
        assert group.summary().endswith(f"({seed + 1} seed{'s' * seed}, {mark})")
        assert seeds_of(group, "test") == f"{seed + 1} ({mark})"
        assert marked("VGG16", group) == f"VGG16 ({mark})"
    assert str(record_links(group)) == "seed 0, CPU, seed 1"


def test_shortened_trainings_and_drawn_faces_stay_out(empty: Path) -> None:
    add(empty, "resnet18", epochs=5)
    assert not any(group.records for group in results.groups("table2"))


# The chapters -----------------------------------------------------------------------------------------------


def shows_records(cell: Any) -> bool:
    """Whether a cell shows what records hold."""
    words = ("results.", "plots.pending")
    return cell.cell_type == "code" and any(word in cell.source for word in words)


def replay(path: Path) -> str:
    """Run a chapter's imports, the cells that show records, and the cells they need; return what is said."""
    cells = [c for c in jupytext.read(path, fmt="py:percent").cells if c.cell_type == "code"]
    space: dict[str, Any] = {"display": lambda value: print(value)}
    said = io.StringIO()

    def run(number: int) -> None:
        *lines, last = notebooks.ast.parse(cells[number].source).body
        while True:
            try:
                code = notebooks.ast.Module(lines, [])
                exec(compile(code, path.name, "exec"), space)
                if isinstance(last, notebooks.ast.Expr):
                    code = compile(notebooks.ast.Expression(last.value), path.name, "eval")
                    value = eval(code, space)
                    print(value.to_string() if hasattr(value, "to_string") else value)
                else:
                    exec(compile(notebooks.ast.Module([last], []), path.name, "exec"), space)
                return
            except NameError as error:
                before = [k for k in range(number) if error.name in notebooks.bound_names(cells[k].source)]
                if not before:
                    raise
                run(before[-1])

    def pending(what: str, **_: Any) -> None:
        print(results.PENDING, what)

    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
        patch.setattr(plots, "pending", pending)
        for number, cell in enumerate(cells):
            if "use_style" in cell.source:
                exec(compile(cell.source, path.name, "exec"), space)
            elif shows_records(cell):
                run(number)
        plt.close("all")
    return said.getvalue()


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_shows_records_as_they_land(path: Path, everything: Path, quick: list[Path]) -> None:
    if not any(map(shows_records, jupytext.read(path, fmt="py:percent").cells)):
        pytest.skip("shows no records")
    after = replay(path)
    assert results.PENDING not in after.lower()
    named = [record for record in quick if record.stem in path.read_text(encoding="utf-8")]
    for record in (everything / "runs").glob("*.json"):
        if record not in named:
            record.unlink()
    before = replay(path)
    assert results.PENDING in before.lower()
    assert after != before
