"""Every claim of the two papers, held against their own tables, the data and our records.

`results/claims.yml` says what is claimed and how it is measured; a verdict is never typed, it is computed.
"""

from fercourse.ledger.claims import Claim, read_claims
from fercourse.ledger.evidence import Evidence, Finding
from fercourse.ledger.judge import Judged, judge, judge_all, ledger_text, read_ledger
from fercourse.ledger.rules import VERDICTS

__all__ = [
    "VERDICTS",
    "Claim",
    "Evidence",
    "Finding",
    "Judged",
    "judge",
    "judge_all",
    "ledger_text",
    "read_claims",
    "read_ledger",
]
