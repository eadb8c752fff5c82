"""Data sets: what FER-2013 is, where it comes from, and how a copy is judged."""

from fercourse.data.audit import Audit, aggregates, audit, twins
from fercourse.data.faces import EMOTIONS, SPLITS, UNLABELLED, Faces, FaceSet
from fercourse.data.sources import load_faces

__all__ = [
    "EMOTIONS",
    "SPLITS",
    "UNLABELLED",
    "Audit",
    "FaceSet",
    "Faces",
    "aggregates",
    "audit",
    "load_faces",
    "twins",
]
