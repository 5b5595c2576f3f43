"""The study's figures from logits: pure functions, no training, no network. What each means: docs/study.md."""
