"""The study: what the released networks answer, its figures from their logits, its report. No training here.

What each figure means: docs/study.md.
"""
