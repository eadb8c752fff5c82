"""A small book of everything that is hard to show, built with this project's configuration and extension.

The chapters need not hold each of it at any time; the book must be able to show it.
"""

from __future__ import annotations

import base64
import shutil
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

#: An 8 x 8 grey square.
PIXELS = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAAEElEQVR4nGNoQAMMQ0AAANAUKAHzl7JXAAAAAElFTkSuQmCC"
)
ALT = "A plain grey square, which stands for a figure of a chapter."

WELCOME = """\
# A book of hard cases

Two lines come first {cite}`ekman1978facial`, and a formula: $x^2$.

```{image} _static/logo.png
:alt: The drawn face that is the sign of the book, smiling.
```

## Cards

::::{grid} 1 1 2 2
:gutter: 3

:::{grid-item-card} The first card
:link: ../notebooks/01_hard
:link-type: doc

It leads to the chapter.
:::

:::{grid-item-card} The second card
:link: references
:link-type: doc

It leads to the references.
:::

::::

````{tab-set}
```{tab-item} Linux
Install make.
```
```{tab-item} Windows
Install WSL first.
```
````

```{note}
A note.
```

```{warning}
A warning.
```

```{admonition} Unfold me
:class: dropdown tip
What was folded.
```

```{glossary}
label
  The word that one annotator chose.
```

A {term}`label` is a word.

| a table | of many | columns | with long | headings | which is | too wide | for a telephone |
| --- | --- | --- | --- | --- | --- | --- | --- |
| 0.123456789 | 0.123456789 | 0.123456789 | 0.123456789 | 0.123456789 | 0.123456789 | 0.123456789 | 0.1 |
"""

OPENING = r"""# Hard cases

> **You will** see a chapter with the unguessable word zygomaticus.
>
> **Time** about 1 minute. **Needs** nothing.

The loss of one image is $-\log p_y$, with $\hat{\boldsymbol{y}} = \operatorname{softmax}(\boldsymbol{z})$ and
a set in $\mathbb{R}^{48 \times 48}$. A long one within the line:
$p(y = k \mid \boldsymbol{x}) = \exp(z_k) / (\exp(z_1) + \exp(z_2) + \exp(z_3))$.

$$
\mathcal{L}(\theta) = -\frac{1}{N} \sum_{i=1}^{N} \sum_{k=1}^{7} w_k \, y_{ik}
\log \frac{e^{z_{ik}}}{\sum_{j} e^{z_{ij}}}
+ \lambda \lVert \theta \rVert_2^2 + \text{a tail that is far too long to fit on the screen of a telephone}
$$

\begin{align}
\mathbf{y} &= \mathcal{F}(\mathbf{x}, \{W_i\}) + \mathbf{x} \\
\cancel{a} &= \braket{b | c}
\end{align}

## A quiz

Which of the two is larger, `supercalifragilisticexpialidocious_variable_name_that_never_ends_and_goes_on` or
<https://example.org/an/address/that/is/far/too/long/for/the/screen/of/a/telephone/and/has/no/place/to/break>?

<details><summary>The first</summary>

No: look at `shape` again, and at $n^2$.

</details>

<details><summary>The second, which has an answer so long that it must run over several lines on a
telephone</summary>

Yes.

```python
print("a block of code within an answer, which is longer than the screen of a telephone is wide, by far")
```

- one
- two

</details>

### A hint

<details>
<summary><b>Hint</b></summary>

Think of *one* thing.

</details>

| a table | of many | columns | with long | headings | which is | too wide | for a telephone |
| --- | --- | --- | --- | --- | --- | --- | --- |
| 0.123456789 | 0.123456789 | 0.123456789 | 0.123456789 | 0.123456789 | 0.123456789 | 0.123456789 | 0.1 |

"""

CODE = '''\
# Every kind of thing that is coloured.
%matplotlib inline
!echo "a shell"
import torch
from torch import nn

class Block(nn.Module):
    """A block."""

    def __init__(self, channels: int = 64, *, rate: float = 1e-3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False)

    @property
    def size(self) -> str:
        return f"{self.conv.weight.shape!r:>10} and {len('x' * 3)}\\n"

try:
    assert not Block and lambda x: x is None or ... @ 0x1F
except (ValueError, KeyError) as error:
    raise RuntimeError(r"no\\d") from error
'''

FOLD = {"mystnb": {"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}}
COLOURS = "".join(f"\x1b[{code}mcolour {code}\x1b[0m " for code in (*range(30, 38), *range(90, 98), 1))
TRACEBACK = [
    "\x1b[31m---------------------------------------------------------------------------\x1b[39m",
    "\x1b[31mValueError\x1b[39m                                Traceback (most recent call last)",
    "\x1b[36mCell\x1b[39m\x1b[36m \x1b[39m\x1b[32mIn[3]\x1b[39m\x1b[32m, line 1\x1b[39m\n"
    "\x1b[32m----> \x1b[39m\x1b[32m1\x1b[39m \x1b[38;5;28;01mraise\x1b[39;00m "
    '\x1b[38;5;167;01mValueError\x1b[39;00m(\x1b[33m"no"\x1b[39m)',
    "\x1b[31mValueError\x1b[39m: no",
]
_HEADS, _CELLS = (
    "".join(cell.format(k) for k in range(20)) for cell in ("<th>column {}</th>", "<td>{}.1234</td>")
)
WIDE = f"<table class='dataframe'><thead><tr>{_HEADS}</tr></thead><tbody><tr>{_CELLS}</tr></tbody></table>"


def _code(source: str, *outputs: NotebookNode, **metadata: object) -> NotebookNode:
    return new_code_cell(source, outputs=list(outputs), metadata=metadata, execution_count=1)


def _shown(**data: object) -> NotebookNode:
    return new_output("display_data", data={key.replace("_", "/", 1): value for key, value in data.items()})


def _printed(text: str, name: str = "stdout") -> NotebookNode:
    return new_output("stream", name=name, text=text)


def chapter() -> NotebookNode:
    """A notebook with every kind of cell and output."""
    table = {"text/html": WIDE, "text/plain": "x"}
    picture = {"image/png": base64.b64encode(PIXELS).decode(), "text/plain": "<Figure>"}
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "0" * 32}, "text/plain": "IntSlider()"}
    verdicts = (
        "✔ Correct. Every parameter has a gradient.",
        "✘ Not yet. forward(torch.rand(2, 1, 48, 48)) returned a tensor of shape (2, 8), expected (2, 7).",
        "○ Not attempted. Replace the dots.",
    )
    cells = [
        new_markdown_cell(OPENING),
        _code(CODE, _printed("line of text that is much too long " * 8 + "\n")),
        _code(
            "table",
            new_output("execute_result", data=table, execution_count=1),
        ),
        _code("plot()", new_output("display_data", data=picture), mystnb={"image": {"alt": ALT}}),
        _code("slider()", new_output("display_data", data=widget)),
        *(_code("q1.check()", _shown(text_plain=text)) for text in verdicts),
        _code("#@title Solution\nx = 1", _printed("1\n"), tags=["hide-cell"], **FOLD),
        _code("y = 1", _printed("of a folded source\n"), tags=["hide-input"]),
        _code("z = 1", _printed("of a folded output\n"), tags=["hide-output"]),
        _code("colours", _printed(COLOURS)),
        _code("warn()", _printed("a warning to look at\n", "stderr")),
        _code("raise", new_output("error", ename="ValueError", evalue="no", traceback=TRACEBACK)),
        new_markdown_cell("## Further reading\n\nA [paper](https://arxiv.org/abs/1512.03385).\n"),
    ]
    for number, cell in enumerate(cells):
        cell.id = f"hard-{number:03d}"
    language = {"name": "python", "pygments_lexer": "ipython3"}
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": language})


TOC = """\
format: jb-book
root: book/welcome
parts:
  - caption: The course
    chapters:
      - file: notebooks/01_hard
      - file: book/references
  - caption: Solutions
    chapters:
      - file: notebooks/solutions/01_hard
"""


def write(root: Path, folder: Path) -> Path:
    """Write the book's sources into ``folder`` and return it."""
    for name in ("_config.yml", "book/_ext", "book/_static", "book/references.bib"):
        source, target = root / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target)
    (folder / "_toc.yml").write_text(TOC, encoding="utf-8")
    (folder / "book" / "welcome.md").write_text(WELCOME, encoding="utf-8")
    (folder / "book" / "references.md").write_text("# References\n\n```{bibliography}\n```\n")
    for place in ("notebooks", "notebooks/solutions"):
        (folder / place).mkdir(exist_ok=True)
        nbformat.write(chapter(), folder / place / "01_hard.ipynb")
    return folder
