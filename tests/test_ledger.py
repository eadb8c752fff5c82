"""The ledger: what claims may say, how each measure judges, and that no verdict is typed.

Records, tables and audits are made up here and changed: every verdict must turn.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from recorded import example
from typer.testing import CliRunner

from fercourse import papers
from fercourse.bench import times
from fercourse.cli import app
from fercourse.errors import FercourseError
from fercourse.evaluate.significance import welch_interval
from fercourse.grids import GRIDS, Row
from fercourse.ledger import VERDICTS, Evidence, judge, judge_all, read_claims, read_ledger
from fercourse.ledger.claims import Claim
from fercourse.ledger.evidence import Finding
from fercourse.ledger.judge import Judged, changes
from fercourse.ledger.measures import MEASURES
from fercourse.ledger.rules import possible_share, printed_range
from fercourse.ledger.stale import chapters_to_make
from fercourse.packing import pack_classes
from fercourse.records import Record, results_folder

ROOT = Path(__file__).parents[1]
LABELS = Record(example(with_test=True)).labels("test")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results folder without records."""
    left_out = shutil.ignore_patterns("runs", "times", "ledger.json")
    shutil.copytree(ROOT / "results", tmp_path / "results", ignore=left_out)
    monkeypatch.setenv("FERCOURSE_RESULTS", str(tmp_path / "results"))
    return tmp_path / "results"


def made_up(
    accuracies: Sequence[float],
    model: str = "resnet18",
    recipe: str = "paper1",
    *,
    disgust: float | None = None,
    curve: Sequence[float] | None = None,
    **changes: Any,
) -> list[Record]:
    """A record for each accuracy, seeds 0, 1, ...; the same images are right wherever two are as accurate.

    Args:
        disgust: the recall of disgust; None for the same as all.
        curve: val accuracy by epoch.
    """
    found = []
    for seed, share in enumerate(accuracies):
        data = example(recipe, with_test=True, model=model, seed=seed, **changes)
        data["train_accuracy"] = share
        for split in ("val", "test"):
            labels = Record(data).labels(split)
            # Spread evenly over the classes, shifted by the seed.
            place = np.argsort(np.argsort(labels, kind="stable"))
            right = ((place * 0.6180339887 + 0.1 * seed) % 1) < share
            if disgust is not None:
                here = np.flatnonzero(labels == 1)
                right[here] = np.arange(len(here)) < disgust * len(here)
            preds = np.where(right, labels, (labels + 1) % 7)
            data[split]["preds"] = pack_classes(preds)
            data[split]["accuracy"] = float((preds == labels).mean())
        if curve is not None:
            values = np.resize(np.asarray(curve, float), len(data["history"]["epoch"]))
            data["history"]["val_accuracy"] = [float(v) + 0.001 * seed for v in values]
        found.append(Record(data))
    return found


def judged(
    measure: str, arguments: Mapping[str, Any], *records: list[Record], value: Any = None, **more: Any
) -> Any:
    evidence = Evidence()
    evidence.records = [record for group in records for record in group]
    claim = Claim("c", 1, "", "table", "", measure, 1, value=value, arguments=arguments, **more)
    return judge(claim, evidence)


# --- The rules ----------------------------------------------------------------------------------------------


def test_a_printed_number_stands_for_what_is_rounded_or_cut_to_it() -> None:
    assert printed_range(0.25) == pytest.approx((0.245, 0.26))
    assert printed_range(11.1) == pytest.approx((11.05, 11.2))
    assert printed_range(20.0) == pytest.approx((19.95, 20.1))
    assert printed_range(3500, whole=True) == (3450, 3600)


@pytest.mark.parametrize("n", [3589, 3564, 977])
def test_possible_shares_are_those_of_some_whole_number(n: int) -> None:
    shares = np.arange(n + 1) / n
    possible = {round(float(s), 4) for s in np.round(shares, 4)} | {
        round(float(s), 4) for s in np.floor(shares * 1e4 + 1e-9) / 1e4
    }
    for printed in (round(k * 1e-4, 4) for k in range(6000, 7100)):
        assert possible_share(printed, n) == (printed in possible), printed


# --- Each measure -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("folder")
def test_an_accuracy_is_judged_by_the_interval_for_one_further_seed() -> None:
    about = {"row": "resnet18", "split": "test"}
    near, far = (made_up(shares) for shares in ((0.700, 0.704, 0.698), (0.600, 0.601, 0.602)))
    assert judged("accuracy", about, near, value=0.7010).verdict == "reproduced"
    assert judged("accuracy", about, far, value=0.7010).verdict == "not reproduced"
    few = judged("accuracy", about, near[:2], value=0.7010)
    assert few.verdict == "pending"
    assert "2 seeds are recorded" in few.finding.reason
    assert few.finding.ours.startswith("70.")
    assert judged("accuracy", about, near, value=0.6033).verdict == "contradicted by the data"
    train = judged("accuracy", {"row": "resnet18", "split": "train"}, near, value=0.7010)
    assert train.verdict == "reproduced"


@pytest.mark.usefixtures("folder")
def test_what_was_not_measured_on_train_is_pending() -> None:
    records = made_up((0.700, 0.704, 0.698))
    for record in records[1:]:
        record.data["train_accuracy"] = None
    found = judged("accuracy", {"row": "resnet18", "split": "train"}, records, value=0.7010)
    assert (found.verdict, found.finding.seeds) == ("pending", 1)


@pytest.mark.usefixtures("folder")
def test_how_many_seeds_there_are_is_true_of_each_network() -> None:
    about = {"better": ["resnet18"], "other": ["vgg16"]}
    none, some = judged("higher", about), judged("higher", about, made_up([0.7, 0.71]))
    assert "no seed is recorded of resnet18, vgg16" in none.finding.reason
    assert "at most 2 seeds are recorded of resnet18, vgg16" in some.finding.reason


def test_an_end_of_an_interval_may_be_zero() -> None:
    claim = Claim("c", 1, "", "table", "", "gain", 1, value=0.01, arguments={})
    told = Judged(claim, Finding("not decidable", "why", low=-0.01, high=0.00003)).to_dict()
    assert (told["low"], told["high"]) == (-0.01, 0.0)
    assert "seeds" not in told


@pytest.mark.usefixtures("folder")
def test_a_gain_must_follow_from_the_paper_s_table_first(monkeypatch) -> None:
    about = {"grid": "table2", "better": "se_resnet34", "other": "resnet34", "split": "test"}
    base = made_up([0.690, 0.691, 0.692], "resnet34")
    better = made_up([0.703, 0.705, 0.705], "se_resnet34")
    assert judged("gain", about, base, better, value=0.0134).verdict == "reproduced"
    same = made_up([0.690, 0.691, 0.692], "se_resnet34")
    assert judged("gain", about, base, same, value=0.0134).verdict == "not reproduced"
    assert judged("gain", about, base, better[:2], value=0.0134).verdict == "pending"
    scattered = made_up([0.681, 0.689, 0.696], "se_resnet34")  # the mean lies on the other side
    wide = judged("gain", about, base, scattered, value=0.0134)
    assert wide.verdict == "not decidable"
    assert "and for no difference" in wide.finding.reason
    assert judged("gain", about, base, better, value=0.0234).verdict == "contradicted by the paper itself"
    row = papers.TABLE2["resnet34"]
    monkeypatch.setitem(papers.TABLE2, "resnet34", type(row)(**{**vars(row), "test": 0.68}))
    assert judged("gain", about, base, better, value=0.0134).verdict == "contradicted by the paper itself"


def test_parameters_are_counted_and_variants_told() -> None:
    assert judged("parameters", {"model": "resnet18"}, value=11_100_000).verdict == "reproduced"
    about = {"model": "mobilenet_v2", "variants": [{"shortcut": "projection"}]}
    found = judged("parameters", about, value=2_300_000)
    assert found.verdict == "not reproduced"
    assert "MobileNetV2 has 2.232 million" in found.finding.reason
    assert "projection it has 2.307 million, which fits" in found.finding.reason


def write_times(folder: Path, name: str, **milliseconds: Sequence[float]) -> None:
    measured = [
        {"model": model, "batch_size": 64, "images_timed": 128, "ms": list(values)}
        for model, values in milliseconds.items()
    ]
    where = {"device": name, "device_kind": "cpu", "threads": 2, "versions": {}}
    record = {"format": 1, "images": times.TEST_IMAGES, "environment": where, "measurements": measured}
    (folder / "times").mkdir(exist_ok=True)
    (folder / "times" / f"{name}.json").write_text(json.dumps(record))


def test_times_are_comparable_on_the_paper_s_machine_alone(folder: Path, monkeypatch) -> None:
    about = {"model": "vgg11"}
    none = judged("time", about, value=786.7)
    assert none.verdict == "not comparable"
    assert "0.51 of ResNet18's" in none.finding.reason
    write_times(folder, "box", vgg11=(700, 800, 900), resnet18=(2000, 2000, 2000))
    assert "0.40 of ResNet18's" in judged("time", about, value=786.7).finding.ours
    monkeypatch.setitem(papers.MACHINES, 1, "box")
    assert judged("time", about, value=786.7).verdict == "reproduced"
    assert judged("time", about, value=1786.7).verdict == "not reproduced"
    monkeypatch.setitem(papers.MACHINES, 1, "another")
    assert judged("time", about, value=786.7).verdict == "pending"


def test_counts_are_those_of_the_paper_then_of_the_data(folder: Path) -> None:
    def verdict(value: Any, **about: Any) -> str:
        return judged("count", about, value=value).verdict

    assert verdict(28_709, quantity="train") == "reproduced"
    assert verdict(28_708, quantity="train") == "contradicted by the data"
    table = "counts2.training images, table"
    assert verdict(18_592, quantity="train", same_as=[table]) == "contradicted by the paper itself"
    assert verdict(3589, quantity="test", shares_of=["test"]) == "reproduced"
    assert verdict(3564, quantity="test", shares_of=["test"]) == "contradicted by the paper itself"
    assert verdict(3500, quantity=["val", "test"], about=True) == "reproduced"
    assert verdict(3700, quantity=["val", "test"], about=True) == "contradicted by the data"
    assert verdict("48x48", quantity="image size") == "reproduced"
    assert verdict(26_432, quantity="people") == "not decidable"
    path = folder / "audits" / "fer2013.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "people": 26_432}))
    assert verdict(26_432, quantity="people") == "reproduced"


@pytest.mark.usefixtures("folder")
def test_the_fewest_images_and_equal_numbers() -> None:
    assert judged("fewest_images", {"emotion": "disgust"}).verdict == "reproduced"
    assert judged("fewest_images", {"emotion": "fear"}).verdict == "contradicted by the data"
    assert judged("same", {"as_": "table2.resnet18.val"}, value=0.7010).verdict == "reproduced"
    assert judged("same", {"as_": "table2.vgg11.val"}, value=0.7010).verdict == (
        "contradicted by the paper itself"
    )


@pytest.mark.usefixtures("folder")
def test_higher_is_decided_by_the_whole_interval() -> None:
    about = {"better": ["resnet18"], "other": ["vgg16"]}
    low, high = ([0.640, 0.642, 0.641], [0.700, 0.702, 0.701])
    up = judged("higher", about, made_up(high), made_up(low, "vgg16"))
    assert up.verdict == "reproduced"
    assert up.finding.low > 0
    assert judged("higher", about, made_up(low), made_up(high, "vgg16")).verdict == "not reproduced"
    assert judged("higher", about, made_up(high), made_up(high, "vgg16")).verdict == "not decidable"
    assert judged("higher", about, made_up(high), made_up(low[:2], "vgg16")).verdict == "pending"
    turned = {"better": ["vgg16"], "other": ["resnet18"]}
    own = judged("higher", turned, made_up(low), made_up(high, "vgg16"))
    assert own.verdict == "contradicted by the paper itself"
    assert own.finding.ours.startswith("+6.0"), "ours stands beside it all the same"
    assert judged("higher", turned).finding.ours == ""


@pytest.mark.usefixtures("folder")
def test_one_pair_the_other_way_is_enough_before_all_are_there() -> None:
    about = {"better": ["resnet18"], "other": ["vgg16", "vgg11"]}
    found = judged("higher", about, made_up([0.64, 0.641, 0.642]), made_up([0.70, 0.701, 0.702], "vgg16"))
    assert found.verdict == "not reproduced"
    fine = judged("higher", about, made_up([0.70, 0.701, 0.702]), made_up([0.64, 0.641, 0.642], "vgg16"))
    assert fine.verdict == "pending"
    assert "1 of 2 pairs can be compared" in fine.finding.reason


@pytest.mark.usefixtures("folder")
def test_among_many_pairs_one_may_lie_the_other_way_by_luck() -> None:
    records = [made_up([0.690, 0.700, 0.710]), made_up([0.715, 0.725, 0.735], "vgg16")]
    records += [made_up([0.60, 0.61, 0.62], name) for name in ("vgg11", "vgg13")]
    one = judged("higher", {"better": ["resnet18"], "other": ["vgg16"]}, *records)
    assert one.verdict == "not reproduced"
    many = judged("higher", {"better": ["resnet18"], "other": ["vgg16", "vgg11", "vgg13"]}, *records)
    assert many.verdict == "not decidable"


@pytest.mark.usefixtures("folder")
def test_a_reading_that_disagrees_makes_a_claim_undecidable() -> None:
    about = {"better": ["se_resnet34"], "other": ["resnet34"]}
    post = {"grid": "readings", "model": "se_resnet34", "se_position": "post"}
    readings = {"readings": ({"better": [post]},)}
    base, up, down = [0.69, 0.691, 0.692], [0.74, 0.741, 0.742], [0.64, 0.641, 0.642]
    records = [made_up(base, "resnet34"), made_up(up, "se_resnet34")]
    alone = judged("higher", about, *records, **readings)
    assert alone.verdict == "reproduced"
    assert alone.finding.reason.endswith(" Reading 2: pending.")
    options = {"model_options": {"se_position": "post"}}
    agrees, not_ = (made_up(shares, "se_resnet34", **options) for shares in (up, down))
    assert judged("higher", about, *records, agrees, **readings).verdict == "reproduced"
    found = judged("higher", about, *records, not_, **readings)
    assert found.verdict == "not decidable"
    assert "Reading 2: not reproduced" in found.finding.reason


def test_the_lightest_and_the_fastest(folder: Path) -> None:
    assert judged("cheapest", {"model": "mobilenet_v3_small", "quantity": "params"}).verdict == "reproduced"
    assert judged("cheapest", {"model": "vgg11", "quantity": "params"}).verdict == (
        "contradicted by the paper itself"
    )
    about = {"model": "mobilenet_v3_small", "quantity": "milliseconds"}
    assert judged("cheapest", about).verdict == "pending"
    slow = dict.fromkeys(papers.TABLE2, (100, 101, 102))
    write_times(folder, "a", **{**slow, "mobilenet_v3_small": (50, 51, 52)})
    assert judged("cheapest", about).verdict == "reproduced"
    write_times(folder, "b", **{**slow, "mobilenet_v3_small": (150, 151, 152)})
    assert judged("cheapest", about).verdict == "not decidable"
    (folder / "times" / "a.json").unlink()
    assert judged("cheapest", about).verdict == "not reproduced"


@pytest.mark.usefixtures("folder")
def test_a_cause_needs_its_control() -> None:
    shallow, deep = (
        {"grid": "table2", "model": "resnet18"},
        {"grid": "table2", "model": "resnet34"},
    )
    plain = [{"grid": "controls", "model": f"plain{depth}"} for depth in (18, 34)]
    about = {"with_": [shallow, deep], "without": plain}
    high, low = [0.70, 0.701, 0.702], [0.64, 0.641, 0.642]

    def verdict(*four: list[float]) -> str:
        names = ("resnet18", "resnet34", "plain18", "plain34")
        return judged("control", about, *(made_up(s, n) for s, n in zip(four, names, strict=True))).verdict

    assert verdict(high, high, high, low) == "reproduced"
    assert verdict(high, low, high, low) == "not reproduced"
    assert verdict(high, high, low, high) == "not reproduced"
    assert verdict(high, high, high, high) == "not decidable"
    assert verdict(high, high, high, low[:2]) == "pending"
    bare = judged("control", {**about, "without": [], "needs": "plain networks"})
    assert bare.verdict == "not decidable"
    assert "plain networks" in bare.finding.reason


@pytest.mark.usefixtures("folder")
def test_the_hardest_class_and_why(monkeypatch) -> None:
    about = {"emotion": "disgust", "row": "basic_cnn"}
    why = {**about, "grid": "balanced", "needs": "as many images of every class"}
    shares = [0.60, 0.61, 0.605]
    hard, easy = (made_up(shares, "basic_cnn", "paper2", disgust=d) for d in (0.2, 0.9))
    assert judged("hardest", about, hard).verdict == "reproduced"
    assert judged("hardest", about, easy).verdict == "not reproduced"
    assert judged("hardest", about, hard[:1]).verdict == "pending"
    assert judged("because", why, hard).verdict == "not decidable"
    monkeypatch.setitem(GRIDS, "balanced", lambda: [Row("basic_cnn", "paper2", "as many of each")])
    assert judged("because", why, hard).verdict == "not reproduced"
    assert judged("because", why, easy).verdict == "reproduced"


@pytest.mark.usefixtures("folder")
def test_the_first_epochs() -> None:
    cnn = made_up([0.6] * 3, "basic_cnn", "paper2", curve=[0.4, 0.5, 0.6])
    res = made_up([0.6] * 3, "resnet50v2", "paper2", curve=[0.1, 0.25, 0.5])
    late = made_up([0.6] * 3, "resnet50v2", "paper2", curve=[0.25, 0.4, 0.5])
    assert judged("early", {"rows": ["basic_cnn"], "epochs": 3}, cnn, value=0.5).verdict == "reproduced"
    assert judged("early", {"rows": ["basic_cnn"], "epochs": 1}, cnn, value=0.5).verdict == "not reproduced"
    assert judged("early", {"rows": ["basic_cnn"], "epochs": 3}, cnn[:2], value=0.5).verdict == "pending"
    both = {"rows": ["basic_cnn", "resnet50v2"], "epochs": 3}
    assert judged("early", both, cnn, res).verdict == "reproduced"
    assert judged("early", both, cnn, late).verdict == "not reproduced"


@pytest.mark.usefixtures("folder")
def test_volatility() -> None:
    about = {"row": "resnet50v2", "than": "basic_cnn"}
    calm = {"curve": np.linspace(0.4, 0.6, 50)}
    wild = {"curve": [0.3, 0.5]}

    def verdict(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
        records = [
            made_up([0.6] * 3, model, "paper2", **given)
            for model, given in (("resnet50v2", one), ("basic_cnn", other))
        ]
        for number, record in enumerate([r for group in records for r in group]):
            record.data["history"]["val_accuracy"][7] += 0.001 * number  # else no spread at all
        return judged("more_volatile", about, *records).verdict

    assert verdict(wild, calm) == "reproduced"
    assert verdict(calm, wild) == "not reproduced"


# --- The list of claims -------------------------------------------------------------------------------------


def test_every_cell_of_both_tables_is_claimed() -> None:
    claims = read_claims(ROOT / "results")
    references = {claim.reference for claim in claims}
    cells = {f"table2.{name}.{column}" for name, row in papers.TABLE2.items() for column in vars(row)}
    assert cells | {f"table1.{name}" for name in papers.TABLE1} <= references
    for table, numbers in (("early", papers.EARLY), ("gains", papers.GAINS), ("counts2", papers.COUNTS)):
        assert {f"{table}.{name}" for name in numbers} <= references
    assert len({claim.id for claim in claims}) == len(claims)
    assert 110 <= len(claims) <= 130
    assert {claim.measure for claim in claims} == set(MEASURES)


def test_no_verdict_is_typed() -> None:
    text = (ROOT / "results" / "claims.yml").read_text()
    entries = yaml.safe_load(text)
    assert not [key for entry in entries for key in entry if key in ("verdict", "finding", "ours")]
    for entry in entries:
        assert not set(VERDICTS) & {str(value) for value in entry.values()}


GOOD = {
    "id": "one",
    "paper": 1,
    "where": "somewhere",
    "words": "table",
    "claim": "It is so.",
    "value": "table2.vgg11.test",
    "measure": "accuracy",
    "with": {"row": "vgg11", "split": "test"},
    "chapter": 4,
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"verdikt": "reproduced"}, "unknown key 'verdikt'"),
        ({"measure": "acuracy"}, "did you mean 'accuracy'"),
        ({"with": {"row": "vgg11", "splits": "test"}}, "takes no 'splits' (did you mean 'split'?);"),
        ({"with": {"row": "vgg11"}}, "needs split"),
        ({"chapter": 77}, "no chapter 77"),
        ({"chapter": "4"}, "expected the number of a chapter"),
        ({"chapter": None}, "expected the number of a chapter"),
        ({"value": "table2.vgg12.test"}, "did you mean 'vgg1"),
        ({"value": "table2.vgg11.tests"}, "a row of Table 2 has params, train, val, test"),
        ({"value": "table3.vgg11"}, "did you mean 'table"),
        ({"words": "heard"}, "expected table, quoted, paraphrased, implied"),
        ({"paper": 3}, "expected 1 or 2"),
        ({"id": "No Good"}, "small letters"),
    ],
)
def test_a_wrong_claim_is_one_clear_sentence(folder: Path, change: dict[str, Any], said: str) -> None:
    shutil.copytree(ROOT / "chapters", folder.parent / "chapters")
    (folder / "claims.yml").write_text(yaml.safe_dump([GOOD]))
    assert [claim.value for claim in read_claims(folder)] == [papers.TABLE2["vgg11"].test]
    (folder / "claims.yml").write_text(yaml.safe_dump([{**GOOD, **change}]))
    with pytest.raises(FercourseError, match=r"claims\.yml") as error:
        read_claims(folder)
    assert said in str(error.value)


def test_missing_keys_and_ids_twice_are_told(folder: Path) -> None:
    for key in ("chapter", "measure", "claim"):
        (folder / "claims.yml").write_text(yaml.safe_dump([{k: v for k, v in GOOD.items() if k != key}]))
        with pytest.raises(FercourseError, match=f"has no {key}"):
            read_claims(folder)
    (folder / "claims.yml").write_text(yaml.safe_dump([GOOD, GOOD]))
    with pytest.raises(FercourseError, match="stands there twice"):
        read_claims(folder)
    (folder / "claims.yml").write_text("- [")
    with pytest.raises(FercourseError, match="cannot be read"):
        read_claims(folder)


@pytest.mark.usefixtures("folder")
def test_a_row_that_no_grid_has_is_told_with_the_claim() -> None:
    with pytest.raises(FercourseError, match=r"claim c cannot be judged.*no such row"):
        judged("accuracy", {"row": "small_vgg", "split": "test"}, value=0.7010)


# --- The ledger ---------------------------------------------------------------------------------------------


def test_the_committed_ledger_is_current() -> None:
    done = CliRunner().invoke(app, ["ledger", "--check"])
    assert done.exit_code == 0, done.output
    assert read_ledger(ROOT / "results" / "ledger.json")["chapters_to_make"] == []


@pytest.mark.usefixtures("folder")
def test_without_records_what_can_be_decided_is() -> None:
    found = judge_all()
    verdicts = {one.claim.id: one.verdict for one in found}
    assert set(verdicts.values()) <= set(VERDICTS)
    assert verdicts["resnets-above-vggs"] == "contradicted by the paper itself"
    assert verdicts["table2-resnet34-test"] == "pending"
    assert all(one.finding.reason for one in found)


def test_a_new_record_changes_the_ledger_and_says_what_waits(folder: Path) -> None:
    run = CliRunner()
    for part in ("chapters", "pyproject.toml"):
        (shutil.copytree if part == "chapters" else shutil.copy)(ROOT / part, folder.parent / part)
    assert run.invoke(app, ["ledger", "--made"]).exit_code == 0
    path = folder / "ledger.json"
    first = path.read_text()
    assert run.invoke(app, ["ledger", "--check"]).exit_code == 0
    (folder / "runs").mkdir()
    for record in made_up([0.700, 0.704, 0.698]):
        (folder / "runs" / f"{record.name}.json").write_text(json.dumps(record.data))
    stale = run.invoke(app, ["ledger", "--check"])
    assert stale.exit_code == 1
    assert "table2-resnet18-test: pending -> reproduced" in stale.output
    assert path.read_text() == first
    assert "pending -> reproduced" in run.invoke(app, ["ledger"]).output
    lines = set(path.read_text().splitlines()) - set(first.splitlines())
    assert any('"id": "table2-resnet18-test", "verdict": "reproduced"' in line for line in lines)
    waiting = run.invoke(app, ["ledger", "--chapters"]).output.split()
    assert "chapters/05_residual_learning.py" in waiting
    assert "chapters/07_small_networks.py" not in waiting
    assert run.invoke(app, ["ledger", "--made"]).exit_code == 0
    assert run.invoke(app, ["ledger", "--chapters"]).output == ""


def test_the_command_filters_and_refuses(folder: Path) -> None:
    run = CliRunner()
    asked = ["ledger", "--paper", "2", "--verdict", "not decidable", "--json"]
    found = json.loads(run.invoke(app, asked).output)
    assert {claim["id"] for claim in found} == {"paper2-text-people", "disgust-because-few"}
    assert not (folder / "ledger.json").exists(), "written outside a checkout"
    one = run.invoke(app, ["ledger", "--claim", "resnets-above-vggs"]).output
    assert "VGG16 at 69.49%" in one
    for wrong in (["--verdict", "reproducd"], ["--paper", "3"], ["--claim", "resnet-above-vggs"]):
        assert isinstance(run.invoke(app, ["ledger", *wrong]).exception, FercourseError)


@pytest.mark.usefixtures("folder")
def test_changes_name_new_gone_and_turned() -> None:
    claims = [one for one in judge_all() if one.claim.id in ("disgust-fewest", "flip-helps")]
    before = {"claims": [{"id": "flip-helps", "verdict": "reproduced"}, {"id": "old", "verdict": "pending"}]}
    assert changes(before, claims) == [
        "flip-helps: reproduced -> pending",
        "disgust-fewest: new, reproduced",
        "old: no longer a claim",
    ]


def test_chapters_that_show_a_record_by_grid_or_by_name() -> None:
    def wait(*records: list[Record]) -> set[str]:
        every = [record for group in records for record in group]
        return {path.stem[:2] for path in chapters_to_make(ROOT, every, known=[])}

    assert wait() == set()
    assert {"08", "09"} <= wait(made_up([0.7]))
    assert "09" in wait(made_up([0.7], "vgg16"))
    assert "05" not in wait(made_up([0.7], "vgg16"))
    record = made_up([0.7])
    assert chapters_to_make(ROOT, record, known=[record[0].name]) == []


def test_results_folder_is_the_checkout_s() -> None:
    assert results_folder() == ROOT / "results"


@pytest.mark.parametrize("sizes", [(2, 2), (3, 5), (5, 3)])
def test_welch_s_interval_is_scipy_s(sizes: tuple[int, int]) -> None:
    from scipy.stats import ttest_ind

    random = np.random.default_rng(sum(sizes))
    one, other = (random.normal(k, 1 + 2 * k, n) for k, n in enumerate(sizes))
    wanted = ttest_ind(other, one, equal_var=False).confidence_interval(0.95)
    assert welch_interval(one, other) == pytest.approx(tuple(wanted))
    assert welch_interval([0.5, 0.5], [0.7, 0.7]) == pytest.approx((0.2, 0.2))
    with pytest.raises(FercourseError, match="two finite ones"):
        welch_interval([0.5], [0.7, 0.8])
