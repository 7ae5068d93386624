"""Readers of other tools' transcripts: bytes in, typed records out. They know no store."""

from .formats import FORMATS, detect, original_record, read_transcript, read_transcript_file
from .records import EntryUsage, Problem, Transcript, TranscriptEntry, UnknownTranscriptFormat

__all__ = [
    "FORMATS",
    "EntryUsage",
    "Problem",
    "Transcript",
    "TranscriptEntry",
    "UnknownTranscriptFormat",
    "detect",
    "original_record",
    "read_transcript",
    "read_transcript_file",
]
